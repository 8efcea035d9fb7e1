//! What `kubectl get` shows.

use super::*;
use crate::support::Cluster;

/// A table of kubectl as its rows of cells, without the column Age, whose cells depend on the hour.
fn cells(table: &str) -> Vec<Vec<String>> {
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let gap = |at: &usize| header.get(at.saturating_sub(3)..*at) == Some("   ") && !header[*at..].starts_with(' ');
    let starts: Vec<usize> = (0..header.len()).filter(|at| *at == 0 || gap(at)).collect();
    let row = |line: &str| -> Vec<String> {
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        starts
            .iter()
            .zip(ends)
            .map(|(start, end)| {
                line.get(*start..end.min(line.len()))
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            })
            .collect()
    };
    let titles = row(header);
    let age = titles.iter().position(|title| title == "AGE").unwrap();
    std::iter::once(titles.clone())
        .chain(lines.map(row))
        .map(|row| {
            row.into_iter()
                .enumerate()
                .filter(|(index, _)| *index != age)
                .map(|(_, cell)| cell)
                .collect()
        })
        .collect()
}

/// A small catalog, with the status that a controller would have written.
async fn fill(namespace: &str) {
    let instance = json!({"metadata": {"name": "orders"}, "spec": {"system": "shop", "template": {"ref": "platform/web-service"}}});
    for (kind, changes) in [
        ("Component", instance),
        (
            "Component",
            json!({"metadata": {"name": "legacy"}, "spec": {"lifecycle": "deprecated"}}),
        ),
        (
            "System",
            json!({"metadata": {"name": "shop"}, "spec": {"domain": "commerce"}}),
        ),
        (
            "Template",
            json!({"metadata": {"name": "web-service"}, "spec": {"owner": "platform"}}),
        ),
    ] {
        create(namespace, &object(kind, &changes), false).await.unwrap();
    }
    let waiting = condition(
        "Ready",
        "False",
        "WaitingForNamespace",
        "waiting for Namespace shop-orders-prod",
    );
    let status = json!({
        "observedGeneration": 1, "conditions": [waiting, condition("ReferencesResolved", "False", "ReferenceNotFound", "")], "environmentsReady": "1/2",
        "template": {"ref": "template:platform/web-service", "version": "2.3.0", "digest": "0".repeat(64), "latestVersion": "2.3.0"},
    });
    patch_status(namespace, "Component", "orders", "landfall-status", status)
        .await
        .unwrap();
    let status = json!({"observedGeneration": 1, "conditions": [condition("Ready", "True", "Ready", "")], "components": {"total": 2, "ready": 1}, "apis": {"total": 3, "ready": 3}});
    patch_status(namespace, "System", "shop", "landfall-status", status)
        .await
        .unwrap();
    let status = json!({
        "observedGeneration": 1, "conditions": [condition("Ready", "True", "Compiled", "")],
        "latest": {"version": "2.3.0", "digest": "0".repeat(64), "revisionName": "web-service-1"},
        "instances": {"total": 3, "updated": 2, "ready": 1},
        "rollout": {"state": "Progressing", "version": "2.3.0"},
    });
    patch_status(namespace, "Template", "web-service", "landfall-status", status)
        .await
        .unwrap();
}

/// The kinds that are records: each with the columns that people know it by, and what its status counts.
#[tokio::test]
async fn kubectl_shows_of_each_record_what_it_is_and_how_much_belongs_to_it() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("crds-records").await;
    let counted = json!({"total": 4, "ready": 3});
    for (kind, spec, status, header, row) in [
        (
            "API",
            json!({"system": "shop"}),
            json!({}),
            "TYPE OWNER SYSTEM LIFECYCLE READY REASON",
            "openapi team-a shop production True Accepted",
        ),
        (
            "Resource",
            json!({"template": {"ref": "db"}}),
            json!({"environmentsReady": "1/1"}),
            "TYPE OWNER SYSTEM TEMPLATE VERSION ENVIRONMENTS READY REASON",
            "database team-a - db - 1/1 True Accepted",
        ),
        (
            "Domain",
            json!({"subdomainOf": "root"}),
            json!({"systems": counted}),
            "OWNER PART+OF SYSTEMS SYSTEMS+READY READY REASON",
            "team-a root 4 3 True Accepted",
        ),
        (
            "Group",
            json!({"parent": "root"}),
            json!({"members": 7, "owned": counted}),
            "TYPE PARENT MEMBERS OWNED OWNED+READY READY REASON",
            "team root 7 4 3 True Accepted",
        ),
        (
            "User",
            json!({"profile": {"displayName": "Jenny"}}),
            json!({"groups": 2, "owned": counted}),
            "DISPLAY+NAME GROUPS OWNED OWNED+READY READY REASON",
            "Jenny 2 4 3 True Accepted",
        ),
        (
            "Location",
            json!({"type": "url", "target": "./a.yaml", "presence": "optional"}),
            json!({}),
            "TYPE TARGET PRESENCE READY REASON",
            "url ./a.yaml optional True Accepted",
        ),
        (
            "Entity",
            json!({"metadata": {"name": "Skill_1"}, "spec": {"type": "skill", "owner": "team-a"}}),
            json!({}),
            "ENTITY+KIND ENTITY+NAME TYPE OWNER READY REASON",
            "AiResource Skill_1 skill team-a True Accepted",
        ),
    ] {
        create(&namespace, &object(kind, &json!({"spec": spec})), false)
            .await
            .unwrap();
        let mut whole = json!({"observedGeneration": 1, "conditions": [condition("Ready", "True", "Accepted", "")]});
        json_merge(&mut whole, &status);
        patch_status(&namespace, kind, "orders", "landfall-status", whole)
            .await
            .unwrap();
        let table = cells(&get(
            &namespace,
            &format!("{}.catalog.landfall.dev", plural(kind)),
            &[],
            cluster,
        ));
        let words = |line: &str, first: &str| -> Vec<String> {
            let rest = line.split(' ').map(|cell| {
                if cell == "-" {
                    String::new()
                } else {
                    cell.replace('+', " ")
                }
            });
            std::iter::once(first.to_owned()).chain(rest).collect()
        };
        assert_eq!(table, [words(header, "NAME"), words(row, "orders")], "{kind}");
    }
}

#[tokio::test]
async fn a_location_shows_its_targets_however_many_it_has() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("crds-columns").await;
    for (name, spec) in [
        ("one", json!({"target": "./a.yaml"})),
        ("some", json!({"targets": ["./a.yaml", "https://b.example"]})),
        ("both", json!({"target": "./a.yaml", "targets": ["./b.yaml"]})),
        ("none", json!({})),
    ] {
        let location = json!({"apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Location", "metadata": {"name": name, "namespace": namespace}, "spec": spec});
        create(&namespace, &location, false).await.unwrap();
    }
    let table = cells(&get(&namespace, "locations.catalog.landfall.dev", &[], cluster));
    let shown: Vec<&str> = table.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(
        shown,
        [
            "TARGET",
            "./a.yaml",
            "",
            "./a.yaml",
            r#"["./a.yaml","https://b.example"]"#
        ],
        "{table:?}"
    );
}

fn get(namespace: &str, resource: &str, more: &[&str], cluster: &Cluster) -> String {
    let output = cluster.kubectl(&[&["get", resource, "-n", namespace], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn kubectl_shows_what_people_look_for() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("crds-columns").await;
    fill(&namespace).await;
    let get = |resource: &str, more: &[&str]| get(&namespace, resource, more, cluster);
    assert_eq!(
        cells(&get("components", &[])),
        [
            [
                "NAME",
                "TYPE",
                "OWNER",
                "SYSTEM",
                "TEMPLATE",
                "VERSION",
                "ENVIRONMENTS",
                "READY",
                "REASON"
            ],
            ["legacy", "service", "team-a", "", "", "", "", "Unknown", "Pending"],
            [
                "orders",
                "service",
                "team-a",
                "shop",
                "platform/web-service",
                "2.3.0",
                "1/2",
                "False",
                "WaitingForNamespace"
            ],
        ]
    );
    assert_eq!(
        cells(&get("lfsys", &[])),
        [
            [
                "NAME",
                "OWNER",
                "DOMAIN",
                "COMPONENTS",
                "COMPONENTS READY",
                "APIS",
                "RESOURCES",
                "TEMPLATE",
                "READY",
                "REASON"
            ],
            ["shop", "team-a", "commerce", "2", "1", "3", "", "", "True", "Ready"],
        ]
    );
    assert_eq!(
        cells(&get("templates.catalog.landfall.dev", &[])),
        [
            [
                "NAME",
                "TYPE",
                "VERSION",
                "INSTANCES",
                "UPDATED",
                "INSTANCES READY",
                "ROLLOUT",
                "READY",
                "REASON"
            ],
            [
                "web-service",
                "service",
                "2.3.0",
                "3",
                "2",
                "1",
                "Progressing",
                "True",
                "Compiled"
            ],
        ]
    );
    let wide = cells(&get("component", &["-o", "wide"]));
    let ends: Vec<&[String]> = wide.iter().map(|row| &row[row.len() - 3..]).collect();
    assert_eq!(
        ends,
        [
            ["MESSAGE", "REFERENCES", "LIFECYCLE"],
            ["Waiting for the controller", "", "deprecated"],
            ["waiting for Namespace shop-orders-prod", "False", "production"],
        ]
    );
    let family: BTreeSet<String> = get("catalog", &["-o", "name"]).lines().map(str::to_owned).collect();
    assert_eq!(
        family,
        BTreeSet::from([
            "component.catalog.landfall.dev/legacy".to_owned(),
            "component.catalog.landfall.dev/orders".to_owned(),
            "system.catalog.landfall.dev/shop".to_owned(),
            "template.catalog.landfall.dev/web-service".to_owned(),
        ])
    );
}
