//! The index against plain reckoning: after any sequence of events it is what it would be if built anew, and whoever is
//! shown otherwise than before has been named.

#![allow(clippy::needless_pass_by_value)] // Objects are written in place, as json! gives them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use self::events::{Event, event};
use super::*;
use crate::catalog::fields::{self, Written};
use crate::catalog::{integrity, summary};

mod events;
mod sizes;

/// An object of the catalog, as a person writes it.
#[derive(Clone, Debug)]
struct Object {
    kind: &'static str,
    namespace: &'static str,
    name: &'static str,
    spec: Value,
    uid: u8,
    created: i64,
    ready: bool,
}

impl Object {
    fn key(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }

    fn written(&self) -> Vec<Written> {
        fields::written(self.kind, self.namespace, &self.spec)
    }

    fn declared(&self) -> Vec<(Role, EntityRef)> {
        let written = self.written().into_iter();
        written.filter_map(|one| Some((one.role, one.target.ok()?))).collect()
    }

    fn aliases(&self) -> Vec<fields::Alias> {
        fields::aliases(self.kind, self.namespace, &self.spec)
    }

    fn former(&self) -> Vec<EntityRef> {
        let aliases = self.aliases().into_iter();
        aliases.filter_map(|alias| alias.target.ok()).collect()
    }

    fn reference(&self) -> EntityRef {
        fields::reference(self.kind, self.namespace, self.name, &self.spec)
    }

    fn told(&self) -> Told<String, u8> {
        Told {
            key: self.key(),
            uid: self.uid.to_string().into(),
            created: self.created,
            reference: self.reference(),
            aliases: self.former(),
            declared: self.declared(),
            aspects: Aspects {
                ready: self.ready,
                ..Aspects::default()
            },
            payload: self.uid,
        }
    }
}

type Catalog = BTreeMap<String, Object>;

/// All that an entity's status says of the index.
fn view(index: &Index<String, u8>, object: &Object) -> Value {
    let key = object.key();
    let counted = |role| serde_json::to_value(summary::counts(index, &key, role, |_| true)).unwrap();
    let verdict = integrity::verdict(index, &key, &object.written(), &object.aliases());
    json!({
        "ref": index.reference(&key).map(|reference| reference.to_string()),
        "rival": index.rival(&key),
        "relations": summary::relations(index, &key),
        "owned": counted(Role::OwnerOf), "parts": counted(Role::HasPart), "instances": counted(Role::TemplateOf),
        "resolved": [verdict.status, &verdict.reason, &verdict.message],
    })
}

fn views(index: &Index<String, u8>, catalog: &Catalog) -> BTreeMap<String, Value> {
    catalog
        .iter()
        .map(|(key, object)| (key.clone(), view(index, object)))
        .collect()
}

fn built<'o>(objects: impl Iterator<Item = &'o Object>) -> Index<String, u8> {
    let mut index = Index::default();
    for object in objects {
        index.put(object.told());
    }
    index
}

/// The relations as they follow from the objects alone.
fn reckoned(catalog: &Catalog) -> BTreeSet<(String, Role, String)> {
    let mut holders: BTreeMap<String, &Object> = BTreeMap::new();
    let age = |object: &Object| (object.created, object.uid.to_string(), object.key());
    for object in catalog.values() {
        let holder = holders.entry(object.reference().to_string()).or_insert(object);
        if age(object) < age(holder) {
            *holder = object;
        }
    }
    // A ref that nobody has means the first that had it before, one beside it before others.
    let mut former: BTreeMap<String, &Object> = BTreeMap::new();
    for object in holders.values() {
        for alias in object.former() {
            let rank = |object: &Object| (object.reference().namespace != alias.namespace, age(object));
            let heir = former.entry(alias.to_string()).or_insert(object);
            if rank(object) < rank(heir) {
                *heir = object;
            }
        }
    }
    let mut found = BTreeSet::new();
    for (reference, object) in &holders {
        for (role, target) in object.declared() {
            let target = target.to_string();
            let meant = former.get(&target).filter(|_| !holders.contains_key(&target));
            let target = meant.map_or(target, |heir| heir.reference().to_string());
            // What names itself stands in no relation by it.
            if target != *reference && holders.contains_key(&target) {
                found.insert((reference.clone(), role, target.clone()));
                found.insert((target, role.inverse(), reference.clone()));
            }
        }
    }
    found
}

fn related(index: &Index<String, u8>, catalog: &Catalog) -> BTreeSet<(String, Role, String)> {
    let mut found = BTreeSet::new();
    for key in catalog.keys() {
        let own = index.reference(key).unwrap().to_string();
        for role in Role::ALL {
            for neighbour in index.related(key, role) {
                assert!(
                    found.insert((own.clone(), role, neighbour.reference.to_string())),
                    "given twice"
                );
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn after_any_events_it_is_what_it_would_be_if_built_anew(events in prop::collection::vec(event(), 1..30)) {
        let (mut index, mut catalog) = (Index::default(), Catalog::new());
        for event in events {
            let before = views(&index, &catalog);
            let (own, changes) = match event {
                Event::Came(object) => {
                    let changes = index.put(object.told());
                    let key = object.key();
                    catalog.insert(key.clone(), object);
                    (key, changes)
                }
                Event::Went(object) => {
                    catalog.remove(&object.key());
                    (object.key(), index.take(&object.key()))
                }
            };
            let after = views(&index, &catalog);
            prop_assert_eq!(index.len(), catalog.len());
            prop_assert_eq!(&after, &views(&built(catalog.values()), &catalog), "built in one order");
            prop_assert_eq!(&after, &views(&built(catalog.values().rev()), &catalog), "and in the other");
            prop_assert_eq!(related(&index, &catalog), reckoned(&catalog));
            let told: BTreeSet<&String> = changes.named.iter().chain(&changes.counted).map(AsRef::as_ref).collect();
            prop_assert!(!told.contains(&own), "it knows of itself");
            for (key, view) in &after {
                let changed = before.get(key) != Some(view);
                prop_assert!(!changed || *key == own || told.contains(key), "{} is shown otherwise and was not told: {:#} {:#}", key, before[key], view);
                let verdict_changed = before.get(key).is_some_and(|before| before["resolved"] != view["resolved"] || before["rival"] != view["rival"]);
                let named = changes.named.iter().any(|named| **named == *key);
                prop_assert!(!verdict_changed || *key == own || named, "{} has to say otherwise at once", key);
            }
        }
        for key in catalog.keys() {
            index.take(key);
        }
        prop_assert_eq!((index.len(), index.places.count()), (0, 0), "nothing is left behind");
    }
}

fn put(index: &mut Index<String, u8>, kind: &'static str, name: &'static str, spec: Value) -> Object {
    let object = Object {
        kind,
        namespace: "shop",
        name,
        spec,
        uid: 0,
        created: 0,
        ready: false,
    };
    index.put(object.told());
    object
}

fn said(index: &Index<String, u8>, object: &Object) -> String {
    let verdict = integrity::verdict(index, &object.key(), &object.written(), &object.aliases());
    format!("{} {}: {}", verdict.status, verdict.reason, verdict.message)
}

#[test]
fn what_is_wrong_with_a_ref_is_said_in_a_sentence() {
    let mut index = Index::default();
    let mut group = put(&mut index, "Group", "checkout", json!({}));
    index.take(&group.key());
    group.namespace = "default";
    index.put(group.told());
    put(&mut index, "Resource", "orders-db", json!({}));
    put(&mut index, "System", "shopp", json!({}));
    let orders = put(
        &mut index,
        "Component",
        "orders",
        json!({
            "owner": "checkout", "system": "system:shop/shop", "subcomponentOf": "Orders", "consumesApis": ["payments"],
            "dependsOn": ["component:orders-db", "resource:orders-db", "x"],
        }),
    );
    assert_eq!(
        said(&index, &orders),
        "False ReferenceNotFound: owner: checkout means group:shop/checkout, which does not exist; did you mean group:default/checkout? \
         system: system:shop/shop does not exist; did you mean system:shop/shopp? \
         subcomponentOf: Orders is this entity itself; name another, or leave it out. \
         consumesApis[0]: payments means api:shop/payments, which does not exist; create it, or correct the ref. \
         dependsOn[0]: component:orders-db means component:shop/orders-db, which does not exist; did you mean resource:shop/orders-db? \
         (and 1 more)"
    );
    let user = put(&mut index, "User", "jenny", json!({"memberOf": ["user:x"]}));
    assert_eq!(
        said(&index, &user),
        "False InvalidReference: memberOf[0]: \"user:x\" is of kind user, expected group"
    );
    let free = put(&mut index, "Location", "x", json!({}));
    assert_eq!(said(&index, &free), "True Resolved: every ref in the spec resolves");
}

#[test]
fn a_cycle_is_shown_to_those_that_stand_in_it_and_to_nobody_else() {
    let mut index = Index::default();
    let a = put(&mut index, "Domain", "a", json!({"subdomainOf": "b"}));
    let b = put(&mut index, "Domain", "b", json!({"subdomainOf": "c"}));
    let below = put(&mut index, "Domain", "below", json!({"subdomainOf": "a"}));
    let c = put(&mut index, "Domain", "c", json!({"subdomainOf": "a"}));
    assert_eq!(
        said(&index, &b),
        "False ReferenceCycle: subdomainOf: c leads back to where it began: \
         domain:shop/b → domain:shop/c → domain:shop/a → domain:shop/b; take one of these steps out"
    );
    assert!(
        said(&index, &a).starts_with("False ReferenceCycle") && said(&index, &c).starts_with("False ReferenceCycle")
    );
    assert_eq!(said(&index, &below), "True Resolved: every ref in the spec resolves");
    // Declared from above, and by others alone.
    let top = put(&mut index, "Group", "top", json!({"children": ["low"]}));
    let low = put(&mut index, "Group", "low", json!({"children": ["top"]}));
    assert!(said(&index, &low).starts_with("False ReferenceCycle: children[0]: top leads back"));
    let changes = index.put(
        Object {
            spec: json!({"children": ["low"], "parent": "low"}),
            ..top.clone()
        }
        .told(),
    );
    assert_eq!(changes.named, [Arc::new(low.key())], "in the cycle as before");
    let low = Object { spec: json!({}), ..low };
    let changes = index.put(low.told());
    assert_eq!(changes.named, [Arc::new(top.key())]);
    assert!(
        said(&index, &low).starts_with("False ReferenceCycle: childOf: this entity leads back to where it began: group:shop/low → group:shop/top → group:shop/low"),
        "{}",
        said(&index, &low)
    );
}

/// Deep hierarchies are no cycles, and a long cycle is told of in few words.
#[test]
fn a_thousand_domains_in_a_row() {
    let mut index = Index::default();
    let domain = |at: usize| {
        let above = json!({"subdomainOf": format!("d{}", at + 1)});
        Object {
            kind: "Domain",
            namespace: "shop",
            name: Box::leak(format!("d{at}").into_boxed_str()),
            spec: if at == 999 { json!({}) } else { above },
            uid: 0,
            created: 0,
            ready: true,
        }
    };
    let domains: Vec<Object> = (0..1000).map(domain).collect();
    for domain in &domains {
        index.put(domain.told());
    }
    for domain in &domains {
        assert_eq!(said(&index, domain), "True Resolved: every ref in the spec resolves");
    }
    let top = Object {
        spec: json!({"subdomainOf": "d0"}),
        ..domains[999].clone()
    };
    assert_eq!(
        index.put(top.told()).named.len(),
        999,
        "each of them stands in the cycle"
    );
    let message = said(&index, &domains[5]);
    assert!(
        message.ends_with("domain:shop/d5 → domain:shop/d6 → domain:shop/d7 → … (995 more) → domain:shop/d3 → domain:shop/d4 → domain:shop/d5; take one of these steps out"),
        "{message}"
    );
}

#[test]
fn the_younger_of_two_with_one_ref_gives_way() {
    let mut index = Index::default();
    let object = |name: &'static str, created: i64, system: &str| Object {
        kind: "Component",
        namespace: "shop",
        name,
        spec: json!({"entityName": "Web_1", "system": system}),
        uid: 0,
        created,
        ready: false,
    };
    let (young, old) = (object("web", 2, "a"), object("web-1", 1, "b"));
    let (a, b) = (
        put(&mut index, "System", "a", json!({})),
        put(&mut index, "System", "b", json!({})),
    );
    let parts = |index: &Index<String, u8>, system: &Object| index.related(&system.key(), Role::HasPart).count();
    index.put(young.told());
    assert_eq!(
        (parts(&index, &a), parts(&index, &b), index.rival(&young.key())),
        (1, 0, None)
    );
    let changes = index.put(old.told());
    assert_eq!(index.rival(&young.key()), Some(&old.key()));
    assert_eq!(
        (parts(&index, &a), parts(&index, &b), index.rival(&old.key())),
        (0, 1, None)
    );
    assert_eq!(changes.named, [Arc::new(young.key())]);
    assert_eq!(changes.counted, [Arc::new(a.key()), Arc::new(b.key())]);
    assert_eq!(index.resolve(&young.reference()), Some(&old.key()));
    assert_eq!(index.take(&old.key()).named, [Arc::new(young.key())]);
    assert_eq!(
        (parts(&index, &a), parts(&index, &b), index.rival(&young.key())),
        (1, 0, None)
    );
}

#[test]
fn who_would_be_left_without_an_entity_is_who_needs_it_and_not_who_only_lists_it() {
    let mut index = Index::default();
    let object = |kind, name, spec| Object {
        kind,
        namespace: "shop",
        name,
        spec,
        uid: 1,
        created: 1,
        ready: true,
    };
    for one in [
        object(
            "Group",
            "team",
            json!({"children": ["group:crew"], "members": ["user:ann"]}),
        ),
        object("Group", "crew", json!({"parent": "group:team"})),
        object("User", "ann", json!({"memberOf": ["crew"]})),
        object(
            "Component",
            "orders",
            json!({"owner": "crew", "dependsOn": ["component:ledger"], "dependencyOf": ["component:shop"]}),
        ),
        object(
            "Component",
            "ledger",
            json!({"owner": "team", "dependencyOf": ["component:gone"]}),
        ),
        object("Component", "shop", json!({"owner": "team"})),
    ] {
        index.put(one.told());
    }
    let of = |key: &str| {
        let key = key.to_owned();
        let found = index.dependents(&key);
        let mut found: Vec<String> = found
            .map(|(role, other)| format!("{} {}", other.reference.name, role.word().unwrap()))
            .collect();
        found.sort();
        found.join(", ")
    };
    assert_eq!(of("Group shop/crew"), "ann memberOf, orders ownedBy");
    assert_eq!(of("Group shop/team"), "crew childOf, ledger ownedBy, shop ownedBy");
    assert_eq!(of("User shop/ann"), "", "a group that lists her goes on without her");
    assert_eq!(of("Component shop/ledger"), "orders dependsOn");
    // It said itself that the other needs it.
    assert_eq!(of("Component shop/orders"), "shop dependsOn");
    assert_eq!(of("Component shop/none"), "");
}
