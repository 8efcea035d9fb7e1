//! Who may use an account beside the template that names it: other Templates, and whoever has rights by which one acts as it.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};

use crate::api::GROUP;
use crate::cli::plan::told;
use crate::controllers::wakes::OwnKind;

/// What was found out.
#[derive(Debug, Default)]
pub struct Users {
    /// The refs of Templates in the cluster that name the account.
    pub templates: Vec<String>,
    /// Who may act as it, and by what.
    pub people: Vec<String>,
    /// What could not be looked at.
    pub unchecked: Vec<String>,
}

/// Asks the cluster of `client` about the account `namespace/account`.
pub async fn ask(client: &Client, namespace: &str, account: &str) -> Users {
    let mut users = Users::default();
    let all = ListParams::default();
    let unchecked = |what: &str, error: &kube::Error| {
        format!(
            "which {what} concern the account {namespace}/{account}: {}",
            told(error)
        )
    };
    let templates: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &OwnKind::Template.resource());
    match templates.list(&all).await {
        Ok(found) => {
            let named = found.items.iter().filter(|template| {
                template
                    .data
                    .pointer("/spec/serviceAccountName")
                    .and_then(|name| name.as_str())
                    == Some(account)
            });
            users.templates = named
                .map(|template| format!("template:{namespace}/{}", template.name_any()))
                .collect();
        }
        Err(error) => users.unchecked.push(unchecked("Templates", &error)),
    }
    let (roles, cluster_roles): (Api<Role>, Api<ClusterRole>) =
        (Api::namespaced(client.clone(), namespace), Api::all(client.clone()));
    let (bindings, cluster_bindings): (Api<RoleBinding>, Api<ClusterRoleBinding>) =
        (Api::namespaced(client.clone(), namespace), Api::all(client.clone()));
    let listed = tokio::try_join!(
        roles.list(&all),
        cluster_roles.list(&all),
        bindings.list(&all),
        cluster_bindings.list(&all)
    );
    match listed {
        Ok((roles, cluster_roles, bindings, cluster_bindings)) => {
            let access = Access {
                namespace,
                account,
                roles: &roles.items,
                cluster_roles: &cluster_roles.items,
            };
            users.people = access.people(&bindings.items, &cluster_bindings.items);
        }
        Err(error) => users.unchecked.push(unchecked("roles and bindings", &error)),
    }
    users
}

/// The rights of a cluster, as far as they concern one account.
struct Access<'a> {
    namespace: &'a str,
    account: &'a str,
    roles: &'a [Role],
    cluster_roles: &'a [ClusterRole],
}

impl Access<'_> {
    /// Who may act as the account, each once for each way.
    fn people(&self, bindings: &[RoleBinding], cluster_bindings: &[ClusterRoleBinding]) -> Vec<String> {
        let mut found = BTreeSet::new();
        for binding in bindings {
            let by = format!("RoleBinding {}/{}", self.namespace, binding.name_any());
            self.bound(&by, &binding.role_ref, binding.subjects.as_deref(), &mut found);
        }
        for binding in cluster_bindings {
            // Kubernetes' own controllers make pods everywhere.
            if binding.name_any().starts_with("system:") {
                continue;
            }
            let by = format!("ClusterRoleBinding {}", binding.name_any());
            self.bound(&by, &binding.role_ref, binding.subjects.as_deref(), &mut found);
        }
        found.into_iter().collect()
    }

    fn bound(&self, by: &str, role: &RoleRef, subjects: Option<&[Subject]>, found: &mut BTreeSet<String>) {
        let ways: BTreeSet<&str> = self.rules(role).iter().filter_map(|rule| self.way(rule)).collect();
        if ways.is_empty() {
            return;
        }
        let ways: Vec<&str> = ways.into_iter().collect();
        for subject in subjects.into_iter().flatten() {
            if subject.name == "system:masters" {
                continue;
            }
            let name = match &subject.namespace {
                Some(namespace) => format!("{namespace}/{}", subject.name),
                None => subject.name.clone(),
            };
            found.insert(format!(
                "{} {name} may {} ({by}, {} {})",
                subject.kind,
                ways.join(" and "),
                role.kind,
                role.name
            ));
        }
    }

    fn rules(&self, role: &RoleRef) -> &[PolicyRule] {
        let rules = if role.kind == "ClusterRole" {
            let found = self.cluster_roles.iter().find(|found| found.name_any() == role.name);
            found.and_then(|found| found.rules.as_deref())
        } else {
            let found = self.roles.iter().find(|found| found.name_any() == role.name);
            found.and_then(|found| found.rules.as_deref())
        };
        rules.unwrap_or_default()
    }

    /// What a rule lets one do with the account.
    fn way(&self, rule: &PolicyRule) -> Option<&'static str> {
        let any = |list: Option<&[String]>, wanted: &[&str]| {
            list.into_iter()
                .flatten()
                .any(|item| item == "*" || wanted.contains(&item.as_str()))
        };
        let covers = |group: &str, resource: &str, verbs: &[&str]| {
            any(rule.api_groups.as_deref(), &[group])
                && any(rule.resources.as_deref(), &[resource])
                && any(Some(&rule.verbs), verbs)
        };
        let only = rule.resource_names.as_deref().unwrap_or_default();
        let named = only.is_empty() || only.iter().any(|name| name == self.account);
        // A rule for this very account, by name, is how the operator is let to act as it.
        let meant = !only.is_empty();
        if covers(GROUP, "templates", &["create", "update", "patch"]) {
            Some("write Templates here")
        } else if named && !meant && covers("", "serviceaccounts", &["impersonate"]) {
            Some("impersonate it")
        } else if named && covers("", "serviceaccounts/token", &["create"]) {
            Some("make tokens for it")
        } else if covers("", "pods", &["create"]) {
            Some("start pods as it")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn people(rule: &Value) -> Vec<String> {
        let granted: Role =
            serde_json::from_value(json!({"metadata": {"name": "r", "namespace": "platform"}, "rules": [rule]}))
                .unwrap();
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "b", "namespace": "platform"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": "ann"}, {"kind": "Group", "name": "system:masters"}],
        }))
        .unwrap();
        let access = Access {
            namespace: "platform",
            account: "golden-path",
            roles: &[granted],
            cluster_roles: &[],
        };
        access.people(&[binding], &[])
    }

    #[test]
    fn each_way_to_act_as_an_account_is_found() {
        let of = |way: &str| vec![format!("User ann may {way} (RoleBinding platform/b, Role r)")];
        for (rule, way) in [
            (
                json!({"apiGroups": ["catalog.landfall.dev"], "resources": ["templates"], "verbs": ["patch"]}),
                "write Templates here",
            ),
            (
                json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
                "write Templates here",
            ),
            (
                json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}),
                "impersonate it",
            ),
            (
                json!({"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"], "resourceNames": ["golden-path"]}),
                "make tokens for it",
            ),
            (
                json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}),
                "start pods as it",
            ),
        ] {
            assert_eq!(people(&rule), of(way), "{rule}");
        }
    }

    #[test]
    fn who_may_only_look_or_was_meant_is_nobody() {
        for rule in [
            json!({"apiGroups": ["catalog.landfall.dev"], "resources": ["templates"], "verbs": ["get", "list"]}),
            json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"], "resourceNames": ["golden-path"]}),
            json!({"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"], "resourceNames": ["other"]}),
            json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
        ] {
            assert_eq!(people(&rule), Vec::<String>::new(), "{rule}");
        }
    }
}
