//! What is large: a group of many, and a row of many.

use kube::api::ListParams;
use serde_json::{Value, json};

use super::{later, put, relation, resolved};
use crate::import::{landfall, stream};
use crate::support::{OPERATOR_AGENT, Stage, condition, counted, eventually_within, is_write, patience};

#[tokio::test]
async fn a_group_of_ten_thousand_stays_small_and_a_member_more_is_written_once_where_it_shows() {
    let stage = Stage::new("large").await;
    let members: Vec<String> = (0..10_000).map(|at| format!("u{at:05}")).collect();
    put(&stage, "Group", "team", json!({"type": "team", "members": members})).await;
    put(&stage, "Group", "bystander", json!({"type": "team"})).await;
    let place = ("Group", stage.home.as_str(), "team");
    let missing =
        |object: &Value| resolved(object).starts_with("False ReferenceNotFound: members[0]: u00000 means user:");
    let group = stage.becomes(place, missing).await;
    assert!(
        resolved(&group).ends_with(" more)"),
        "what it leaves out is said: {}",
        resolved(&group)
    );
    put(&stage, "User", "u00007", json!({})).await;
    let has = |count: i64| move |object: &Value| object["status"]["members"] == count;
    stage.becomes(place, has(1)).await;
    stage.ready("User", "u00007").await;
    later(&stage, "large-a").await;

    let mark = stage.cluster.audit().mark().await;
    put(&stage, "User", "u09999", json!({})).await;
    let group = stage.becomes(place, has(2)).await;
    stage.ready("User", "u09999").await;
    later(&stage, "large-b").await;
    let size = group["status"].to_string().len();
    assert!(size < 4096, "{size} bytes: {}", group["status"]);
    assert_eq!(relation(&group, "hasMember")["count"], 2);
    let written = counted(stage.cluster.audit().since(mark).await, OPERATOR_AGENT).into_iter();
    let mut names: Vec<String> = written
        .filter(|entry| is_write(entry) && entry.namespace == stage.home)
        .map(|entry| entry.name)
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["team", "u09999"],
        "its own status, and that of the group in which it shows"
    );
}

#[tokio::test]
async fn a_thousand_domains_in_a_row_are_no_cycle_until_the_last_names_the_first() {
    let stage = Stage::new("deep").await;
    let domain = |at: usize, above: Option<usize>| {
        let mut document = json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Domain",
            "metadata": {"name": format!("d{at}"), "namespace": stage.home}, "spec": {"owner": "user:nobody"},
        });
        if let Some(above) = above {
            document["spec"]["subdomainOf"] = json!(format!("d{above}"));
        }
        document
    };
    let apply = |documents: &[Value]| {
        let said = landfall(
            &stage.cluster.kubeconfig(),
            &["import", "--apply", "-"],
            &stream(documents),
        );
        assert_eq!(said.code, 0, "{}", said.errors);
    };
    let all = async |what: &str, says: &str| {
        eventually_within(patience() * 6, what, async || {
            let listed = stage
                .api("Domain", &stage.home)
                .list(&ListParams::default())
                .await
                .unwrap();
            let domains: Vec<Value> = listed
                .items
                .iter()
                .map(|one| serde_json::to_value(one).unwrap())
                .collect();
            let wrong = domains.iter().find(|domain| !resolved(domain).contains(says));
            match wrong {
                None if domains.len() == 1000 => Ok(()),
                None => Err(format!("{} domains", domains.len())),
                Some(wrong) => Err(format!("{}: {}", wrong["metadata"]["name"], resolved(wrong))),
            }
        })
        .await;
    };
    let row: Vec<Value> = (0..1000).map(|at| domain(at, (at < 999).then_some(at + 1))).collect();
    apply(&row);
    let dangling = "owner: user:nobody means user:";
    all("a thousand domains in a row", dangling).await;
    let top = stage.get(("Domain", &stage.home, "d999")).await.unwrap();
    assert!(!resolved(&top).contains("subdomainOf"), "{}", resolved(&top));
    apply(&[domain(999, Some(0))]);
    all("a ring of a thousand", "leads back to where it began: ").await;
    let one = stage.get(("Domain", &stage.home, "d5")).await.unwrap();
    assert!(resolved(&one).contains("… (995 more) →"), "{}", resolved(&one));
    assert_eq!(condition(&one, "Ready").status, "True");
    apply(&[domain(999, None)]);
    let open = |object: &Value| !resolved(object).contains("leads back");
    stage.becomes(("Domain", &stage.home, "d5"), open).await;
}
