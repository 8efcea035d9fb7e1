//! What large catalogs cost.

use super::*;

/// What stands around an entity is found with as many looks, however large the catalog is.
#[test]
fn neighbours_cost_what_they_are_and_not_what_the_catalog_is() {
    let looks = |others: usize| {
        let mut index = Index::default();
        let system = put(&mut index, "System", "a", json!({"owner": "team"}));
        for at in 0..others + 10 {
            let system = if at < 10 {
                "a".to_owned()
            } else {
                format!("other{}", at / 10)
            };
            let name: &'static str = Box::leak(format!("c{at}").into_boxed_str());
            put(
                &mut index,
                "Component",
                name,
                json!({"system": system, "owner": "team", "dependsOn": ["resource:db"]}),
            );
        }
        index.places.looks();
        assert_eq!(index.related(&system.key(), Role::HasPart).count(), 10);
        let neighbours = index.places.looks();
        let one = put(&mut index, "Component", "one-more", json!({"system": "a"}));
        index.take(&one.key());
        (neighbours, index.places.looks())
    };
    let small = looks(10);
    assert_eq!(looks(20_000), small);
    assert!(small.0 <= 40 && small.1 <= 60, "{small:?}");
}

/// The largest groups have small statuses, with names as long as they come.
#[test]
fn a_group_of_ten_thousand_stays_under_four_kibibytes() {
    let mut index = Index::default();
    let long = "n".repeat(58);
    let members: Vec<String> = (0..10_000).map(|at| format!("{long}{at:05}")).collect();
    let group = put(
        &mut index,
        "Group",
        "team",
        json!({"members": members, "children": [format!("g{long}")]}),
    );
    put(
        &mut index,
        "Group",
        Box::leak(format!("g{long}").into_boxed_str()),
        json!({}),
    );
    let status = |index: &Index<String, u8>| {
        let verdict = integrity::verdict(index, &group.key(), &group.written(), &[]);
        let owned = summary::counts(index, &group.key(), Role::OwnerOf, |_| true);
        assert!(verdict.message.len() < 2048, "{}", verdict.message);
        let condition = json!({"type": "ReferencesResolved", "status": "False", "reason": "ReferenceNotFound", "message": verdict.message, "lastTransitionTime": "2026-11-22T10:00:00Z"});
        let ready = json!({"type": "Ready", "status": "True", "reason": "Accepted", "message": "recorded in the catalog", "lastTransitionTime": "2026-11-22T10:00:00Z"});
        json!({"observedGeneration": 1, "conditions": [ready, condition], "relations": summary::relations(index, &group.key()), "members": 10_000, "owned": owned})
    };
    assert!(status(&index).to_string().len() < 4096, "none of them is there yet");
    for name in &members {
        put(&mut index, "User", Box::leak(name.clone().into_boxed_str()), json!({}));
    }
    for at in 0..2_000 {
        let name: &'static str = Box::leak(format!("c{long}{at:04}").into_boxed_str());
        put(&mut index, "Component", name, json!({"owner": "team"}));
    }
    let status = status(&index);
    assert_eq!(status["relations"][2]["count"], 10_000, "{status}");
    assert!(
        status.to_string().len() < 4096,
        "{} bytes: {status}",
        status.to_string().len()
    );
}
