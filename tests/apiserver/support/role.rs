//! What the operator may do as itself: its role, as `deploy/rbac.yaml` has it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::entry;

/// What a role lists, each as `verb resource`, with the resource as an audit log's [`entry::Entry`] has it.
pub type Role = BTreeSet<String>;

/// The operator's own role, as it is shipped.
pub fn own_role() -> Role {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rbac.yaml");
    let text = fs::read_to_string(path).unwrap();
    let mut role = Role::new();
    for document in text.split("\n---\n") {
        let document: Value = serde_saphyr::from_str(document).unwrap();
        if document["kind"] != "ClusterRole" && document["kind"] != "Role" {
            continue;
        }
        for rule in document["rules"].as_array().unwrap() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    let resource = entry::resource(group, resource);
                    role.extend(texts(&rule["verbs"]).map(|verb| format!("{verb} {resource}")));
                }
            }
        }
    }
    role
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
