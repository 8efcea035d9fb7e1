//! A Template of the files: what it would become, and whom that touches.

use kube::ResourceExt as _;
use kube::api::DynamicObject;

use super::Previewed;
use super::files::Document;
use super::picture::status_of;
use super::reading::{self, INSTANCES};
use super::report::{EntityReport, TemplateReport};
use crate::api::template::TemplateStatus;
use crate::catalog::refs::{self, EntityRef};
use crate::controllers::instance::preview::Action;
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::wakes::Key;

impl Previewed<'_> {
    /// Takes in a Template of the files. Gives the instances that are touched if anything of it is changed.
    pub(super) async fn template(
        &mut self,
        document: &Document,
        object: DynamicObject,
        before: Option<&DynamicObject>,
        report: &mut EntityReport,
    ) -> Vec<Key> {
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
                });
            }
            Err(trouble) => {
                report.action = Action::Deny;
                report.reason = Some(trouble.reason.as_str().to_owned());
                report.message = Some(trouble.message);
                return Vec::new();
            }
        }
        if report.action == Action::Nothing {
            return Vec::new();
        }
        let found = self.instances_of(key, report).await;
        if let Some(template) = report.template.as_mut().filter(|_| self.cluster.is_some()) {
            template.instances = Some(found.len());
        }
        found
    }

    /// The instances in the cluster that name a Template, taken into the picture.
    async fn instances_of(&mut self, template: &Key, report: &mut EntityReport) -> Vec<Key> {
        let reference = EntityRef::new(template.kind.word(), &template.namespace, &template.name);
        let Some(cluster) = self.cluster else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for kind in INSTANCES {
            let all = match cluster.list(kind, None).await {
                Ok(all) => all,
                Err(why) => {
                    report
                        .unchecked
                        .push(format!("which {} are touched: {why}", kind.full_name()));
                    continue;
                }
            };
            for object in all {
                let namespace = object.namespace().unwrap_or_default();
                let named = object
                    .data
                    .pointer("/spec/template/ref")
                    .and_then(|written| refs::parse_of_kind(written.as_str()?, "template", &namespace).ok());
                if named.as_ref() != Some(&reference) {
                    continue;
                }
                let key = Key {
                    kind,
                    name: object.name_any(),
                    namespace,
                };
                // One of the files is there already, as it would be.
                if self.picture.entity(&key).is_none() {
                    self.picture.put(&key, object);
                }
                found.push(key);
            }
        }
        found
    }
}
