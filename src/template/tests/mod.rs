//! Templates as a whole: compiled, planned and rendered against an in-memory picture of a cluster.

mod compiling;
mod golden;
mod include;
mod planning;
mod properties;
mod published;
mod rendering;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::compile::{Compiled, Policy, compile};
use super::content::Content;
use super::fault::Fault;
use super::kinds::{FieldLookup, KindInfo, Kinds};
use super::plan::{Live, Plan, PlanRequest, Rendered, plan};

/// A cluster that serves the built-in kinds, Tekton, and one Database.
pub(super) struct Cluster;

impl Kinds for Cluster {
    fn kind(&self, api_version: &str, kind: &str) -> Option<KindInfo> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let (plural, namespaced) = match (group, version, kind) {
            ("", "v1", "Namespace") => ("namespaces", false),
            ("", "v1", "PersistentVolume") => ("persistentvolumes", false),
            ("", "v1", "ConfigMap") => ("configmaps", true),
            ("", "v1", "Secret") => ("secrets", true),
            ("", "v1", "Service") => ("services", true),
            ("", "v1", "ServiceAccount") => ("serviceaccounts", true),
            ("", "v1", "Pod") => ("pods", true),
            ("", "v1", "PersistentVolumeClaim") => ("persistentvolumeclaims", true),
            ("", "v1", "ResourceQuota") => ("resourcequotas", true),
            ("apps", "v1", "Deployment") => ("deployments", true),
            ("batch", "v1", "Job") => ("jobs", true),
            ("batch", "v1", "CronJob") => ("cronjobs", true),
            ("networking.k8s.io", "v1", "NetworkPolicy") => ("networkpolicies", true),
            ("rbac.authorization.k8s.io", "v1", "RoleBinding") => ("rolebindings", true),
            ("rbac.authorization.k8s.io", "v1", "ClusterRole") => ("clusterroles", false),
            ("tekton.dev", "v1", "Pipeline") => ("pipelines", true),
            ("tekton.dev", "v1", "PipelineRun") => ("pipelineruns", true),
            ("example.com", "v1", "Database") => ("databases", true),
            _ => return None,
        };
        Some(KindInfo {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced,
        })
    }

    fn field(&self, _: &str, kind: &str, path: &[String]) -> FieldLookup {
        if kind != "Database" {
            return FieldLookup::Unknown;
        }
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let missing = |parent: &str, available: &[&str]| FieldLookup::Missing {
            parent: parent.to_owned(),
            available: available.iter().map(|name| (*name).to_owned()).collect(),
        };
        match names.as_slice() {
            ["spec" | "status"] | ["status", "host" | "port" | "replicas" | "phase", ..] | ["spec", "size", ..] => {
                FieldLookup::Exists
            }
            ["status", ..] => missing("status", &["host", "port", "replicas", "phase"]),
            ["spec", ..] => missing("spec", &["size"]),
            _ => missing("", &["spec", "status"]),
        }
    }
}

/// A template's content out of YAML.
pub(super) fn content(yaml: &str) -> Content {
    serde_saphyr::from_str(yaml).expect("the YAML of the test")
}

/// Compiles, and expects that to succeed.
pub(super) fn compiled(yaml: &str) -> Arc<Compiled> {
    match compile(&content(yaml), "1.0.0", &Cluster, &Policy::default()) {
        Ok(compiled) => Arc::new(compiled),
        Err(faults) => panic!("{}", texts(&faults).join("\n")),
    }
}

/// Compiles, and gives the faults.
pub(super) fn faults(yaml: &str) -> Vec<String> {
    texts(&compile(&content(yaml), "1.0.0", &Cluster, &Policy::default()).expect_err("faults"))
}

pub(super) fn texts(faults: &[Fault]) -> Vec<String> {
    faults
        .iter()
        .map(|fault| format!("{} · {fault}", fault.reason))
        .collect()
}

/// What a plan is made for.
pub(super) struct Instance {
    pub(super) entity: Value,
    pub(super) owner: Value,
    pub(super) system: Value,
    pub(super) parameters: Map<String, Value>,
    pub(super) references: BTreeMap<String, Value>,
    pub(super) environments: BTreeMap<String, Arc<Compiled>>,
    pub(super) system_namespaces: BTreeSet<String>,
    pub(super) target_namespaces: BTreeSet<String>,
}

/// The component `orders` in namespace `shop`, with these parameters.
pub(super) fn orders(parameters: &Value) -> Instance {
    Instance {
        entity: json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": "orders", "namespace": "shop", "uid": "0-1"},
            "spec": {"type": "service", "lifecycle": "production", "owner": "team-a", "system": "checkout"},
        }),
        owner: json!({"kind": "group", "namespace": "shop", "name": "team-a", "ref": "group:shop/team-a", "exists": true, "spec": {}}),
        system: json!({"kind": "system", "namespace": "shop", "name": "checkout", "ref": "system:shop/checkout", "exists": true, "spec": {}}),
        parameters: parameters.as_object().cloned().unwrap_or_default(),
        references: BTreeMap::new(),
        environments: BTreeMap::new(),
        system_namespaces: BTreeSet::new(),
        target_namespaces: BTreeSet::new(),
    }
}

impl Instance {
    pub(super) fn plan(&self, base: &Arc<Compiled>) -> Result<Plan, Vec<Fault>> {
        let policy = Policy::default();
        plan(self.request(base, &policy))
    }

    pub(super) fn request<'a>(&'a self, base: &Arc<Compiled>, policy: &'a Policy) -> PlanRequest<'a> {
        PlanRequest {
            entity: &self.entity,
            owner: &self.owner,
            system: &self.system,
            template_name: "web-service",
            template_namespace: "platform",
            parameters: &self.parameters,
            base: Arc::clone(base),
            environments: self.environments.clone(),
            newest: None,
            system_namespaces: self.system_namespaces.clone(),
            target_namespaces: self.target_namespaces.clone(),
            kinds: &Cluster,
            policy,
            references: self.references.clone(),
        }
    }

    pub(super) fn planned(&self, base: &Arc<Compiled>) -> Plan {
        match self.plan(base) {
            Ok(plan) => plan,
            Err(faults) => panic!("{}", texts(&faults).join("\n")),
        }
    }

    pub(super) fn faults(&self, base: &Arc<Compiled>) -> Vec<String> {
        texts(&self.plan(base).expect_err("faults"))
    }
}

/// Each object as `Kind namespace/name`.
pub(super) fn identities(plan: &Plan) -> Vec<String> {
    plan.objects
        .iter()
        .map(|object| {
            let namespace = object
                .namespace
                .as_deref()
                .map_or_else(String::new, |namespace| format!("{namespace}/"));
            format!("{} {namespace}{}", object.kind.kind, object.name)
        })
        .collect()
}

/// The body of the object that resource `id` renders to.
pub(super) fn body(plan: &Plan, id: &str, live: &Live) -> Value {
    match plan.render(place(plan, id), live) {
        Ok(Rendered::Object(object)) => object,
        other => panic!("{id}: {other:?}"),
    }
}

pub(super) fn place(plan: &Plan, id: &str) -> usize {
    plan.objects
        .iter()
        .position(|object| match id.split_once('/') {
            Some((id, key)) => object.resource == id && object.each_key.as_deref() == Some(key),
            None => object.resource == id,
        })
        .expect("an object of this resource")
}
