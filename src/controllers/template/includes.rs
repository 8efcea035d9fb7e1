//! What a Template's includes come to: the content of other templates, looked up when it is compiled and frozen with it.

use std::collections::BTreeSet;

use crate::api::conditions;
use crate::api::reasons::Reason;
use crate::api::template::{Include, TemplateSpec, TemplateStatus};
use crate::catalog::integrity::advice;
use crate::catalog::refs::{self, EntityRef};
use crate::controllers::instance::gather::closed;
use crate::controllers::surroundings::Surroundings;
use crate::controllers::template::revisions::Held;
use crate::controllers::trouble::{Class, Trouble};
use crate::controllers::wakes::{Interest, Key, OwnKind};
use crate::template::content::{Content, Included};
use crate::template::include::MAX_DEPTH;

/// The templates that `spec` includes, as far as their refs can be read.
pub fn refs(key: &Key, spec: &TemplateSpec) -> Vec<EntityRef> {
    let written = spec.include.iter();
    written
        .filter_map(|include| refs::parse_of_kind(&include.reference, "template", &key.namespace).ok())
        .collect()
}

/// What a Template is compiled anew for: when a template that it includes changes, or its own namespace, by which they may choose.
pub fn interests(key: &Key, spec: &TemplateSpec) -> Vec<Interest> {
    let mut interests: Vec<Interest> = refs(key, spec).into_iter().map(Interest::Entity).collect();
    if !interests.is_empty() {
        interests.push(Interest::Namespace(key.namespace.clone()));
    }
    interests
}

/// The content of `spec`, with that of the templates which it includes.
///
/// A version has one content for ever: where `spec.version` names one that there is, of this same spec, what was included then
/// is. Without a version, what is not pinned is what is newest.
///
/// # Errors
/// An included template is not there, not compiled, not open, or includes this one.
pub fn content(world: &dyn Surroundings, key: &Key, spec: &TemplateSpec) -> Result<Content, Trouble> {
    let mut content = Content::of(spec);
    if content.include.is_empty() {
        return Ok(content);
    }
    let looked: Vec<Result<Included, Trouble>> = spec
        .include
        .iter()
        .map(|include| included(world, key, include))
        .collect();
    let frozen = spec.version.as_ref().and_then(|version| {
        let same = |held: &Held| {
            let mut own = held.content.clone();
            own.included.clear();
            held.version == *version && own == content
        };
        world.revision(key, &same)
    });
    if let Some(frozen) = frozen {
        // What was included may be gone since, but what is closed is not kept open by a version.
        let closed = looked.into_iter().filter_map(Result::err);
        return match closed.into_iter().find(|trouble| trouble.class >= Class::Blocked) {
            Some(trouble) => Err(trouble),
            None => Ok(frozen.content),
        };
    }
    for included in looked {
        content.included.push(included?);
    }
    Ok(content)
}

fn included(world: &dyn Surroundings, key: &Key, include: &Include) -> Result<Included, Trouble> {
    let field = format!("spec.include[{}]", include.id);
    let reference = refs::parse_of_kind(&include.reference, "template", &key.namespace)
        .map_err(|error| Trouble::invalid(Reason::InvalidSpec, format!("{field}.ref: {error}")))?;
    let found = world
        .find(&reference)
        .filter(|(other, object)| other.kind == OwnKind::Template && object.metadata.deletion_timestamp.is_none());
    let Some((other, object)) = found else {
        let mut near = world.catalog().index().near(&reference, &["template"]);
        near.retain(|near| near.namespace == reference.namespace);
        return Err(Trouble::waiting(
            Reason::IncludeNotFound,
            format!("{field}: {reference} does not exist; {}", advice(&near)),
        ));
    };
    let own = world.catalog().reference(key);
    let mut way = vec![own.clone()];
    if leads_to(world, &other, &own, &mut way, &mut BTreeSet::new()) {
        let way: Vec<String> = way.iter().map(ToString::to_string).collect();
        return Err(Trouble::invalid(
            Reason::InvalidTemplate,
            format!(
                "{field}: the templates include each other: {}; take one of these includes out",
                way.join(" → ")
            ),
        ));
    }
    let (theirs, status) = decoded(&object.data)
        .ok_or_else(|| Trouble::waiting(Reason::IncludeNotFound, format!("{field}: {reference} cannot be read")))?;
    if let Some(why) = closed(
        world,
        &key.namespace,
        &reference.namespace,
        theirs.allowed_namespaces.as_ref(),
    ) {
        return Err(Trouble::invalid(
            Reason::IncludeNotAllowed,
            format!(
                "{field}: {reference} is not open to namespace {}: {why}; ask its owner to widen its spec.allowedNamespaces, for example to {{from: All}}, or include one that is open",
                key.namespace
            ),
        ));
    }
    let held = match &include.version {
        Some(version) => world.revision(&other, &|held| held.version == *version).ok_or_else(|| {
            Trouble::waiting(
                Reason::IncludeNotFound,
                format!(
                    "{field}.version: {reference} has no version \"{version}\"; name one that it has (kubectl get controllerrevisions -n {}), or none to include the newest",
                    other.namespace
                ),
            )
        })?,
        None => newest(world, &other, &reference, &status, &field)?,
    };
    Ok(Included {
        template: format!("{}/{}", other.namespace, other.name),
        version: held.version,
        content: held.content,
    })
}

/// The newest revision of an included template.
fn newest(
    world: &dyn Surroundings,
    other: &Key,
    reference: &EntityRef,
    status: &TemplateStatus,
    field: &str,
) -> Result<Held, Trouble> {
    let Some(latest) = &status.latest else {
        let why = conditions::find(&status.conditions, conditions::READY)
            .filter(|ready| ready.status == "False")
            .map_or_else(String::new, |ready| format!(": {}", ready.message));
        return Err(Trouble::waiting(
            Reason::IncludeNotFound,
            format!("{field}: {reference} has not compiled yet{why}"),
        ));
    };
    let wanted = |held: &Held| held.digest == latest.digest && held.version == latest.version;
    world.revision(other, &wanted).ok_or_else(|| {
        Trouble::waiting(
            Reason::WaitingForVersion,
            format!("{field}: waiting for the newest revision of {reference}"),
        )
    })
}

fn decoded(object: &serde_json::Value) -> Option<(TemplateSpec, TemplateStatus)> {
    let spec = serde_json::from_value(object.get("spec")?.clone()).ok()?;
    let status = object.get("status").cloned().unwrap_or_default();
    Some((spec, serde_json::from_value(status).unwrap_or_default()))
}

/// Whether `from` includes `target`, however deep, by what the templates say now. The way is that to it then.
fn leads_to(
    world: &dyn Surroundings,
    from: &Key,
    target: &EntityRef,
    way: &mut Vec<EntityRef>,
    seen: &mut BTreeSet<EntityRef>,
) -> bool {
    let reference = world.catalog().reference(from);
    way.push(reference.clone());
    if reference == *target {
        return true;
    }
    let spec = world.entity(from).and_then(|object| decoded(&object.data));
    // Those that include each other deeper than that do not compile.
    if seen.insert(reference) && way.len() <= MAX_DEPTH + 1 {
        for next in spec.iter().flat_map(|(spec, _)| refs(from, spec)) {
            if let Some(next) = world
                .catalog()
                .resolve(&next)
                .filter(|next| next.kind == OwnKind::Template)
                && leads_to(world, &next, target, way, seen)
            {
                return true;
            }
        }
    }
    way.pop();
    false
}
