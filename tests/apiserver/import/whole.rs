//! A whole catalog: applied, exported, applied again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use landfall::catalog::conversion;
use landfall::catalog::yaml::{self, Limits};
use landfall::cli::export::EXPORTED;
use serde_json::{Value, json};

use super::corpus::{corpus, filled_in, is_entity, yaml_files};
use super::program::{self, Said};
use super::{landfall, same, sorted, stream, values};
use crate::support::{Cluster, Entry, Mark, is_write, quiet_cluster};

/// Every entity of the corpus, skeletons as a template would fill them in; each in the first of these namespaces in which its object's
/// name is still free: all that a skeleton names is called `word`.
async fn documents(cluster: &Cluster) -> Option<(Vec<String>, Vec<Value>)> {
    let mut namespaces: Vec<(String, HashSet<String>)> = Vec::new();
    let mut found = Vec::new();
    for file in yaml_files(&corpus()?) {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_skeleton = text.contains("name: ${{") || text.contains("{%");
        let text = if is_skeleton { filled_in(&text) } else { text };
        let documents = yaml::documents(&text, Limits::default()).flatten();
        for mut document in documents.map(|document| document.root.value()) {
            if !is_entity(&document) {
                continue;
            }
            let Ok(there) = conversion::import(&document) else {
                continue;
            };
            let object = format!("{} {}", there.resource["kind"], there.resource["metadata"]["name"]);
            let free = namespaces.iter().position(|(_, taken)| !taken.contains(&object));
            let at = free.unwrap_or(namespaces.len());
            if free.is_none() {
                namespaces.push((cluster.namespace("corpus").await, HashSet::new()));
            }
            let (namespace, taken) = &mut namespaces[at];
            taken.insert(object);
            document["metadata"]["namespace"] = json!(namespace);
            found.push(document);
        }
    }
    Some((namespaces.into_iter().map(|(namespace, _)| namespace).collect(), found))
}

fn apply(cluster: &Cluster, documents: &[Value]) -> Said {
    // As an export, whose Locations name files that are elsewhere.
    let text = format!("{EXPORTED}{}", stream(documents));
    landfall(&cluster.kubeconfig(), &["import", "--apply", "-"], &text)
}

/// Everything of these namespaces, as `landfall export --all` gives it.
fn exported(cluster: &Cluster, namespaces: &[String]) -> Vec<Value> {
    let said = landfall(&cluster.kubeconfig(), &["export", "--all"], "");
    assert_eq!(said.code, 0, "{}", said.errors);
    let mut all = sorted(values(&said.output));
    all.retain(|document| {
        namespaces
            .iter()
            .any(|namespace| document["metadata"]["namespace"] == **namespace)
    });
    all
}

/// What commands have written in these namespaces since then.
async fn written(cluster: &Cluster, namespaces: &[String], mark: Mark) -> Vec<Entry> {
    let mut entries = cluster.audit().since(mark).await;
    entries.retain(|entry| is_write(entry) && namespaces.contains(&entry.namespace));
    entries.retain(|entry| entry.user_agent.starts_with("landfall-command/"));
    entries
}

/// The UID and the generation of each object in these namespaces, which counts the changes of its spec.
fn versions(cluster: &Cluster, namespaces: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for namespace in namespaces {
        let listed = cluster.kubectl(&["get", "catalog", "-n", namespace, "-o", "json"]);
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        for object in listed["items"].as_array().unwrap() {
            let name = format!("{namespace} {} {}", object["kind"], object["metadata"]["name"]);
            let metadata = &object["metadata"];
            found.insert(name, format!("{} {}", metadata["uid"], metadata["generation"]));
        }
    }
    found
}

#[tokio::test]
async fn a_whole_catalog_is_applied_comes_back_as_it_was_and_can_be_applied_again() {
    let cluster = quiet_cluster().await;
    let Some((namespaces, documents)) = documents(cluster).await else {
        return;
    };
    assert!(documents.len() > 35, "only {} entities were found", documents.len());
    let mark = cluster.audit().mark().await;
    let said = apply(cluster, &documents);
    assert_eq!(
        (said.code, said.output.lines().count()),
        (0, documents.len()),
        "{}",
        said.errors
    );
    let first = written(cluster, &namespaces, mark).await;
    assert_eq!(first.len(), documents.len(), "one write each");
    assert!(first.iter().all(|entry| entry.code == 201), "{first:#?}");

    let (back, expected) = (exported(cluster, &namespaces), sorted(documents.clone()));
    assert_eq!(back.len(), expected.len());
    for document in &expected {
        assert!(back.iter().any(|back| same(back, document)), "{document:#}");
    }

    assert_eq!(versions(cluster, &namespaces).len(), documents.len());
    let mark = cluster.audit().mark().await;
    let said = apply(cluster, &documents);
    assert_eq!(
        (said.code, said.output.lines().count()),
        (0, documents.len()),
        "{}",
        said.errors
    );
    let second = written(cluster, &namespaces, mark).await;
    assert_eq!(second.len(), documents.len());
    assert!(second.iter().all(|entry| entry.code == 200), "{second:#?}");
}

#[tokio::test]
async fn what_a_whole_catalog_is_refused_for_is_said_once_a_kind() {
    let cluster = quiet_cluster().await;
    let namespaces = [cluster.namespace("refused").await, cluster.namespace("refused").await];
    let mut documents = Vec::new();
    for at in 0..300 {
        let mut component = super::component(&format!("c{at}"), json!({}));
        component["metadata"]["namespace"] = json!(namespaces[at % 2]);
        documents.push(component);
        let mut group = super::entity(
            "Group",
            &format!("g{at}"),
            json!({}),
            json!({"type": "team", "children": []}),
        );
        group["metadata"]["namespace"] = json!(namespaces[0]);
        documents.push(group);
    }
    let stranger = super::as_stranger(cluster, &namespaces[0]);
    let said = landfall(&stranger, &["import", "--apply", "-"], &stream(&documents));
    let grant = |kind: &str| {
        format!(
            "User \"a-stranger\" cannot patch them; grant: apiGroups [catalog.landfall.dev], resources [{kind}], verbs [create, patch]"
        )
    };
    let lines: BTreeSet<&str> = said.errors.lines().collect();
    let expected = [
        format!(
            "standard input:2:1: components.catalog.landfall.dev/c0 and 299 others of the kind in namespaces {}, {} were refused: {}",
            namespaces[0],
            namespaces[1],
            grant("components")
        ),
        format!(
            "standard input:{}:1: groups.catalog.landfall.dev/g0 and 299 others of the kind in namespace {} were refused: {}",
            stream(&documents[..1]).lines().count() + 2,
            namespaces[0],
            grant("groups")
        ),
        "landfall: 0 imported, 600 faults: see above".to_owned(),
    ];
    assert_eq!(lines, expected.iter().map(String::as_str).collect());
    assert_eq!((said.code, said.output.as_str()), (1, ""));
    assert!(versions(cluster, &namespaces).is_empty());

    // A namespace that is not there is named once, whatever was to be in it.
    for document in &mut documents {
        document["metadata"]["namespace"] = json!("no-such-namespace");
    }
    let said = apply(cluster, &documents);
    assert_eq!(
        said.errors,
        "standard input:3:1: components.catalog.landfall.dev/c0 and 599 others in namespace no-such-namespace were refused: \
         namespaces \"no-such-namespace\" not found; make it first: kubectl create namespace no-such-namespace\n\
         landfall: 0 imported, 600 faults: see above\n"
    );
}
