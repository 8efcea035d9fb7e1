//! At which versions an instance stands: its own, and those of single environments. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gather::{self, compiled};
use crate::api::instance::{EnvironmentInForce, InstanceStatus, InstanceTemplate, TemplateInForce};
use crate::api::reasons::Reason;
use crate::api::rollout::Moved;
use crate::api::template::RevisionInForce;
use crate::catalog::index::MovedAt;
use crate::catalog::refs::EntityRef;
use crate::controllers::catalog::{environments_that_follow, moved_at};
use crate::controllers::surroundings::Surroundings;
use crate::controllers::template::revisions::Held;
use crate::controllers::trouble::Trouble;
use crate::controllers::wakes::Key;
use crate::template::compile::Compiled;
use crate::template::rollout::stages::Part;

/// The versions that an instance is planned at.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its own: what its objects outside environments are rendered from, and those of every environment that has no other.
    pub own: Arc<Compiled>,
    /// Those of single environments.
    pub environments: BTreeMap<String, Arc<Compiled>>,
}

impl Standing {
    /// The version of an environment.
    pub fn of(&self, environment: &str) -> &Compiled {
        self.environments.get(environment).unwrap_or(&self.own)
    }

    /// What the status says of it; `before` is what it said last. When a part was moved is kept for as long as it stays there.
    pub fn in_force(
        &self,
        reference: &EntityRef,
        latest_version: &str,
        before: Option<&TemplateInForce>,
    ) -> TemplateInForce {
        let reference = reference.to_string();
        let before = before.filter(|before| before.reference == reference);
        let moved = before
            .filter(|before| before.digest == self.own.digest)
            .and_then(|before| before.moved.clone());
        let mut in_force = TemplateInForce {
            reference,
            version: self.own.version.clone(),
            digest: self.own.digest.clone(),
            latest_version: latest_version.to_owned(),
            moved,
            environments: Vec::new(),
        };
        let environments = self.environments.iter().map(|(name, compiled)| {
            let known = before.and_then(|before| before.environments.iter().find(|known| known.name == *name));
            EnvironmentInForce {
                name: name.clone(),
                version: compiled.version.clone(),
                digest: compiled.digest.clone(),
                moved: known
                    .filter(|known| known.digest == compiled.digest)
                    .and_then(|known| known.moved.clone()),
            }
        });
        in_force.environments = environments
            .filter(|environment| is_of_its_own(environment, &in_force))
            .collect();
        in_force
    }
}

/// Notes that a rollout moves an environment, or with none all else.
pub fn note_move(in_force: &mut TemplateInForce, environment: Option<&str>, moved: Moved, to: &Compiled) {
    let Some(name) = environment else {
        in_force.moved = Some(moved);
        return;
    };
    in_force.environments.retain(|known| known.name != name);
    let environment = EnvironmentInForce {
        name: name.to_owned(),
        version: to.version.clone(),
        digest: to.digest.clone(),
        moved: Some(moved),
    };
    if is_of_its_own(&environment, in_force) {
        in_force.environments.push(environment);
        in_force.environments.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

/// Whether the instance's own version does not say all of an environment: it is another, or the environment was moved after it.
fn is_of_its_own(environment: &EnvironmentInForce, own: &TemplateInForce) -> bool {
    environment.digest != own.digest
        || moved_at(environment.moved.as_ref()).counted() > moved_at(own.moved.as_ref()).counted()
}

/// The parts of an instance that follow its template, each with the content that it runs.
pub fn parts<'a>(at: &'a TemplateInForce, status: &'a InstanceStatus, wanted: &'a InstanceTemplate) -> Vec<Part<'a>> {
    let own = Part {
        environment: None,
        digest: &at.digest,
        moved: moved_at(at.moved.as_ref()),
    };
    let names = status.environments.iter().map(|environment| environment.name.as_str());
    let environments = environments_that_follow(at, names, |name| wanted.environments.contains_key(name));
    let environments = environments.into_iter().map(|(name, known)| Part {
        environment: Some(name),
        digest: known.map_or(&at.digest, |known| &known.digest),
        moved: known.map_or_else(MovedAt::default, |known| moved_at(known.moved.as_ref())),
    });
    std::iter::once(own).chain(environments).collect()
}

/// Where the versions of an instance come from.
pub(super) struct Source<'a> {
    /// What surrounds it.
    pub(super) world: &'a dyn Surroundings,
    /// Its template.
    pub(super) template: &'a Key,
    /// The newest version.
    pub(super) latest: &'a RevisionInForce,
    /// What it asks for.
    pub(super) wanted: &'a InstanceTemplate,
}

impl Source<'_> {
    /// The newest, but for what is pinned.
    pub(super) fn newest(&self) -> Result<Standing, Trouble> {
        self.pinned(gather::newest(self.world, self.template, self.latest)?)
    }

    /// One version, and those to which single environments are pinned.
    pub(super) fn pinned(&self, own: Arc<Compiled>) -> Result<Standing, Trouble> {
        let pins = self.wanted.environments.iter();
        let pins = pins.map(|(name, pin)| {
            let compiled = gather::pinned(self.world, self.template, &pin.version)?;
            Ok((name.clone(), compiled))
        });
        Ok(Standing {
            own,
            environments: pins.collect::<Result<_, Trouble>>()?,
        })
    }

    /// Where an instance is that stays there, but for what is pinned.
    pub(super) fn still(&self, at: &TemplateInForce) -> Result<Standing, Trouble> {
        let mut standing = self.pinned(self.kept(&at.version, &at.digest)?)?;
        for known in &at.environments {
            if !self.wanted.environments.contains_key(&known.name) {
                let compiled = self.kept(&known.version, &known.digest)?;
                standing.environments.insert(known.name.clone(), compiled);
            }
        }
        Ok(standing)
    }

    /// Where an instance is that is at `at` once an environment, or with none all that is left, is moved to the newest.
    pub(super) fn moved(&self, at: &TemplateInForce, environment: Option<&str>) -> Result<Standing, Trouble> {
        let Some(environment) = environment else {
            return self.newest();
        };
        let mut standing = self.still(at)?;
        let newest = gather::newest(self.world, self.template, self.latest)?;
        standing.environments.insert(environment.to_owned(), newest);
        Ok(standing)
    }

    /// A version that something is at, as long as it is kept. The newest may have another name by now.
    fn kept(&self, version: &str, digest: &str) -> Result<Arc<Compiled>, Trouble> {
        if digest == self.latest.digest {
            return gather::newest(self.world, self.template, self.latest);
        }
        let (world, template) = (self.world, self.template);
        let wanted = |held: &Held| held.digest == digest && held.version == version;
        let held = world.revision(template, &wanted).ok_or_else(|| {
            Trouble::waiting(
                Reason::VersionNotFound,
                format!(
                    "{template} has no version \"{version}\" any more, at which this instance is; its objects are kept as they are until it is moved: pin a version that there is in spec.template.version, by which it moves as a whole, or, where the template's rollout has no environments, let that go on"
                ),
            )
        })?;
        compiled(world, template, &held)
    }
}
