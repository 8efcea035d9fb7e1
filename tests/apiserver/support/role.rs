//! What the operator may do as itself: its role, as `deploy/` has it, which is rendered from the chart.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::entry;

/// What a role lists, each as `verb resource`, with the resource as an audit log's [`entry::Entry`] has it.
pub type Role = BTreeSet<String>;

/// The operator's own role, as it is shipped, with that of acting as an account.
pub fn own_role() -> Role {
    shipped(&["rbac.yaml", "account.yaml"])
}

/// The webhook's own role, as it is shipped.
pub fn webhooks_role() -> Role {
    shipped(&["webhook.yaml"])
}

/// What the roles in these files of `deploy/` list.
fn shipped(files: &[&str]) -> Role {
    let mut role = Role::new();
    for file in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
        for document in fs::read_to_string(path).unwrap().split("\n---\n") {
            let document: Value = serde_saphyr::from_str(document).unwrap();
            if document["kind"] == "ClusterRole" || document["kind"] == "Role" {
                role.extend(listed(&document));
            }
        }
    }
    role
}

/// What one role lists.
pub fn listed(document: &Value) -> Role {
    let mut role = Role::new();
    for rule in document["rules"].as_array().into_iter().flatten() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let resource = entry::resource(group, resource);
                role.extend(texts(&rule["verbs"]).map(|verb| format!("{verb} {resource}")));
            }
        }
    }
    role
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
