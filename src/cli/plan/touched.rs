//! Whom a change of the files touches beside the entities of the files: the instances of a Template, and those whose owner or
//! system is another.

use kube::ResourceExt as _;
use kube::api::DynamicObject;

use super::files::Document;
use super::files::Files;
use super::picture::status_of;
use super::reading::{self, INSTANCES};
use super::report::{EntityReport, TemplateReport};
use super::{Previewed, Reports};
use crate::api::template::TemplateStatus;
use crate::catalog::refs::EntityRef;
use crate::controllers::instance::decode::Instance;
use crate::controllers::instance::gather;
use crate::controllers::instance::preview::Action;
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::wakes::{Interest, Key, OwnKind};

/// The kinds by which instances are touched.
const NAMED: [OwnKind; 4] = [OwnKind::Template, OwnKind::Group, OwnKind::User, OwnKind::System];

impl Previewed<'_> {
    /// Takes in a Template of the files.
    pub(super) async fn template(
        &mut self,
        document: &Document,
        object: DynamicObject,
        before: Option<&DynamicObject>,
        report: &mut EntityReport,
    ) {
        let key = &document.key;
        if let Some(cluster) = self.cluster
            && before.is_some()
        {
            match reading::revisions(cluster, key, before).await {
                Ok(revisions) => self.picture.put_revisions(key, revisions),
                Err(why) => report
                    .unchecked
                    .push(format!("whether its version was given to other content: {why}")),
            }
        }
        let latest = before
            .and_then(status_of::<TemplateStatus>)
            .and_then(|status| status.latest);
        match self.picture.put_template(key, object).await {
            Ok(held) => {
                report.template = Some(TemplateReport {
                    reference: report.reference.clone(),
                    version: held.version,
                    before: latest.map(|latest| latest.version),
                    account: None,
                    instances: None,
                    environments: Vec::new(),
                    order: Vec::new(),
                });
            }
            Err(trouble) => {
                report.action = Action::Deny;
                report.reason = Some(trouble.reason.as_str().to_owned());
                report.message = Some(trouble.message);
            }
        }
    }

    /// The instances in the cluster that name what the files change and are not in the files, with what each names of that.
    /// They are taken into the picture.
    pub(super) async fn touched(&mut self, files: &Files, reports: &mut Reports) -> Vec<(Key, String)> {
        let mut changed: Vec<(EntityRef, Key)> = files
            .documents
            .iter()
            .filter(|document| NAMED.contains(&document.key.kind))
            .filter(|document| {
                let action = reports.get(&document.key).map(|report| report.action);
                matches!(action, Some(Action::Create | Action::Change))
            })
            .map(|document| (self.picture.catalog().reference(&document.key), document.key.clone()))
            .collect();
        let (Some(cluster), false) = (self.cluster, changed.is_empty()) else {
            return Vec::new();
        };
        self.including(cluster, &mut changed).await;
        let mut found = Vec::new();
        for kind in INSTANCES {
            let all = match cluster.list(kind, None).await {
                Ok(all) => all,
                Err(why) => {
                    let kind = kind.full_name();
                    self.report
                        .unchecked
                        .push(format!("which {kind} the files touch: {why}"));
                    continue;
                }
            };
            for object in all {
                let key = Key {
                    kind,
                    name: object.name_any(),
                    namespace: object.namespace().unwrap_or_default(),
                };
                let Some(cause) = named_of(&key, &object, &changed) else {
                    continue;
                };
                count(reports.get_mut(&cause.1));
                // One of the files is there already, as it would be.
                if self.picture.entity(&key).is_none() {
                    self.picture.put(&key, object);
                    found.push((key, cause.0.to_string()));
                }
            }
        }
        found
    }
}

/// What of `changed` an instance names, its template first.
fn named_of<'c>(key: &Key, object: &DynamicObject, changed: &'c [(EntityRef, Key)]) -> Option<&'c (EntityRef, Key)> {
    let instance = Instance::decode(key, object).ok()?;
    let interests = gather::interests(&instance, instance.template.as_ref()?);
    let is_read = |reference: &EntityRef| {
        interests
            .iter()
            .any(|interest| matches!(interest, Interest::Entity(named) if named == reference))
    };
    let template = |(_, key): &&(EntityRef, Key)| key.kind == OwnKind::Template;
    let mut named = changed.iter().filter(|(reference, _)| is_read(reference));
    named.clone().find(template).or_else(|| named.next())
}

/// One more instance of a Template.
fn count(template: Option<&mut EntityReport>) {
    if let Some(template) = template.and_then(|report| report.template.as_mut()) {
        *template.instances.get_or_insert(0) += 1;
    }
}
