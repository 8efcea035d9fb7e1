//! Objects made from the schemas of our kinds, good ones and mutated ones, against the running operator: it stays
//! alive and says something about each, and no neighbour notices.
//!
//! Each object is applied as A (good), then as B (A, mutated), then as A again. What happens is the same for the same
//! seed, `LANDFALL_FUZZ_SEED`; a failure says which it was.

mod mutate;
mod random;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use landfall::api::reasons::Reason;
use serde_json::{Value, json};

use crate::support::conformance::{breaches, condition, is_observed, says};
use crate::support::{ALL, Case, GOLDEN_PATH, Operator, eventually, eventually_within, operator, patience};
use random::Random;
use schema::{Generator, Kind, kinds};

/// How many requests are under way at a time.
const AT_ONCE: usize = 16;

#[tokio::test]
async fn objects_of_all_schemas_leave_the_operator_and_its_neighbours_well() {
    let case = Case::new().await;
    let tally = campaign(&case, operator().await, given("SEED").unwrap_or(0), 0, 300).await;
    println!("{tally}");
    assert!(
        tally.refused > 0 && tally.mutated > 20,
        "the mutations do not do what they are for: {tally}"
    );
    assert!(tally.ready_at_first > 40, "hardly any object is good: {tally}");
}

/// What the environment gives as `LANDFALL_FUZZ_SEED` or `LANDFALL_FUZZ_OBJECTS`.
pub fn given(name: &str) -> Option<u64> {
    std::env::var(format!("LANDFALL_FUZZ_{name}")).ok()?.parse().ok()
}

/// What a campaign came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub seed: u64,
    pub objects: usize,
    /// Writes that the apiserver did not take.
    pub refused: usize,
    /// Mutated objects that it took.
    pub mutated: usize,
    pub ready_at_first: usize,
    /// Reasons of Ready of the mutated, and how often.
    pub reasons: BTreeMap<String, usize>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "fuzz: seed {}: {} objects, {} of them Ready; {} writes refused by the apiserver, {} mutated objects taken: {:?}",
            self.seed, self.objects, self.ready_at_first, self.refused, self.mutated, self.reasons
        )
    }
}

impl Tally {
    /// Adds what another campaign of the same seed came to.
    pub fn add(&mut self, other: &Self) {
        self.seed = other.seed;
        self.objects += other.objects;
        self.refused += other.refused;
        self.mutated += other.mutated;
        self.ready_at_first += other.ready_at_first;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }
}

/// One object of a campaign.
struct Subject {
    kind: Kind,
    name: String,
    good: Value,
    bad: Value,
    random: Random,
}

/// Applies `count` objects A, B and A, of which the first has the number `from`, and looks at everything after each.
pub async fn campaign(case: &Case<'_>, operator: &Operator, seed: u64, from: usize, count: usize) -> Tally {
    let mut field = Field {
        case,
        operator,
        seed,
        tally: Tally {
            seed,
            objects: count,
            ..Tally::default()
        },
    };
    field.prepare().await;
    let subjects = subjects(seed, from, count);
    let created = field.apply(&subjects, Phase::Create).await;
    let first = field.settled("A", &created, &subjects).await;
    field.tally.ready_at_first = first.values().filter(|object| says(object, "Ready") == "True").count();
    let mutated = field.apply(&subjects, Phase::Mutate).await;
    let second = field.settled("B", &created, &subjects).await;
    for (_, object) in second.iter().filter(|(name, _)| mutated.contains(*name)) {
        *field.tally.reasons.entry(reason(object)).or_default() += 1;
    }
    field.tally.mutated = mutated.len();
    field.apply(&subjects, Phase::PutRight).await;
    field.recovered(&created, &first, &subjects).await;
    field.clear(&subjects).await;
    field.tally
}

fn reason(object: &Value) -> String {
    condition(object, "Ready").map_or_else(String::new, |ready| {
        ready["reason"].as_str().unwrap_or_default().to_owned()
    })
}

/// The objects of a seed: of every kind, from its schema or from the examples.
fn subjects(seed: u64, from: usize, count: usize) -> Vec<Subject> {
    let kinds = kinds();
    let named: Vec<(usize, &Kind, String)> = (from..from + count)
        .map(|number| (number, &kinds[number % kinds.len()], format!("fuzz-{number}")))
        .collect();
    let refs: Vec<String> = named
        .iter()
        .map(|(_, kind, name)| format!("{}:{name}", kind.name.to_lowercase()))
        .chain([
            "template:neighbour".to_owned(),
            "group:default/team-a".to_owned(),
            "system:none".to_owned(),
        ])
        .collect();
    named
        .iter()
        .map(|(number, kind, name)| {
            let mut random = Random::of(seed, *number as u64);
            let good = if !kind.examples.is_empty() && random.chance(40) {
                let mut spec = random.pick(&kind.examples)["spec"].clone();
                if spec["template"].is_object() {
                    spec["template"] = json!({"ref": random.pick(&refs).split_once(':').unwrap().1});
                }
                spec
            } else {
                Generator {
                    random: &mut random,
                    refs: &refs,
                }
                .spec(kind)
            };
            let mut bad = good.clone();
            let own = format!("{}:{name}", kind.name.to_lowercase());
            mutate::mutate(&mut random, &mut bad, &own, &refs);
            Subject {
                kind: (*kind).clone(),
                name: name.clone(),
                good,
                bad,
                random,
            }
        })
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Create,
    Mutate,
    PutRight,
}

/// A namespace with an account, a good neighbour, and the objects.
struct Field<'c> {
    case: &'c Case<'c>,
    operator: &'c Operator,
    seed: u64,
    tally: Tally,
}

impl Field<'_> {
    async fn prepare(&self) {
        let case = self.case;
        case.grant(&json!([{"apiGroups": [""], "resources": ["configmaps", "resourcequotas"], "verbs": ALL}]))
            .await;
        case.put_object(&json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Template",
            "metadata": {"name": "neighbour", "namespace": case.platform},
            "spec": {
                "type": "service", "serviceAccountName": GOLDEN_PATH,
                "allowedNamespaces": {"from": "All"},
                "resources": [{"id": "it", "manifest": {
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${{ entity.metadata.name }}"}, "data": {"a": "b"},
                }}],
            },
        }))
        .await;
        self.neighbour("neighbour").await;
    }

    /// A Component that has nothing to do with the objects, and becomes Ready.
    async fn neighbour(&self, name: &str) {
        let case = self.case;
        case.put_object(&json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": name, "namespace": case.team},
            "spec": {
                "type": "service", "lifecycle": "production", "owner": "group:default/shop",
                "template": {"ref": format!("{}/neighbour", case.platform)},
            },
        }))
        .await;
        case.ready("Component", name).await;
    }

    /// Writes all of them, and gives the names of those that the apiserver took.
    async fn apply(&mut self, subjects: &[Subject], phase: Phase) -> BTreeSet<String> {
        let field = &*self;
        let writes = subjects.iter().map(|subject| async move {
            let taken = match phase {
                Phase::Create => field.create(subject).await,
                Phase::Mutate => field.replace(subject, &subject.bad, true).await,
                Phase::PutRight => field.replace(subject, &subject.good, false).await,
            };
            (subject, taken)
        });
        let written: Vec<(&Subject, bool)> = stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
        let taken: BTreeSet<String> = written
            .iter()
            .filter(|(_, taken)| *taken)
            .map(|(subject, _)| subject.name.clone())
            .collect();
        self.tally.refused += written.len() - taken.len();
        taken
    }

    fn api(&self, kind: &Kind) -> kube::Api<DynamicObject> {
        self.case.api(&kind.api_version, &kind.name, &self.case.platform)
    }

    async fn create(&self, subject: &Subject) -> bool {
        let object = json!({
            "apiVersion": subject.kind.api_version, "kind": subject.kind.name,
            "metadata": {"name": subject.name, "namespace": self.case.platform}, "spec": subject.good,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let made = self.api(&subject.kind).create(&PostParams::default(), &object).await;
        self.is_taken(subject, made)
    }

    /// Puts `spec` in place of the object's, and odd metadata beside it or away again. What others write meanwhile stays.
    async fn replace(&self, subject: &Subject, spec: &Value, odd: bool) -> bool {
        let api = self.api(&subject.kind);
        for _ in 0..50 {
            let Some(mut object) = api.get_opt(&subject.name).await.unwrap() else {
                return false;
            };
            let live = serde_json::to_value(&object.metadata).unwrap();
            let extra = if odd {
                mutate::metadata(&mut subject.random.clone(), &subject.kind, &live)
            } else {
                json!({})
            };
            let mut metadata = live;
            for field in ["annotations", "labels", "ownerReferences"] {
                metadata[field] = extra[field].clone();
            }
            if let (Some(more), None) = (extra.get("finalizers"), object.metadata.finalizers.as_ref()) {
                metadata["finalizers"] = more.clone();
            }
            object.metadata = serde_json::from_value(metadata).unwrap();
            object.data["spec"] = spec.clone();
            match api.replace(&subject.name, &PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                // Each field that is not known is a header of the answer, and the client reads a hundred headers.
                Err(kube::Error::Service(_)) => {
                    let now = api.get(&subject.name).await.unwrap();
                    return now.metadata.generation != object.metadata.generation;
                }
                other => return self.is_taken(subject, other),
            }
        }
        panic!(
            "seed {}: {} was changed by somebody each of 50 times",
            self.seed, subject.name
        )
    }

    /// Whether the apiserver took it. It may refuse, and may not fail.
    fn is_taken(&self, subject: &Subject, written: Result<DynamicObject, kube::Error>) -> bool {
        match written {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => false,
            Err(error) => panic!("seed {}: {} {}: {error:?}", self.seed, subject.kind.name, subject.name),
        }
    }

    /// Waits until all is said about the objects as they are, by the rules, and gives them. The operator and the
    /// neighbours are well.
    async fn settled(&self, phase: &str, created: &BTreeSet<String>, subjects: &[Subject]) -> BTreeMap<String, Value> {
        let limit = patience() + Duration::from_millis(20) * u32::try_from(subjects.len()).unwrap();
        let what = format!(
            "seed {}, phase {phase}: every object to have a status of its present spec",
            self.seed
        );
        let objects = eventually_within(limit, &what, async || {
            let objects = self.live(subjects).await;
            let missing = created.iter().find(|name| !objects.contains_key(*name));
            let behind = objects.values().find(|object| !is_observed(object));
            match (missing, behind) {
                (None, None) => Ok(objects),
                (Some(name), _) => Err(format!("{name} is gone")),
                (None, Some(object)) => Err(format!("{object:#}")),
            }
        })
        .await;
        let reasons: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        for (name, object) in &objects {
            let broken = breaches(object);
            let known = reasons.contains(reason(object).as_str());
            assert!(
                broken.is_empty() && known,
                "seed {}, phase {phase}: {name}: {}\n{object:#}",
                self.seed,
                broken.join("\n")
            );
        }
        self.well(phase).await;
        objects
    }

    /// The operator runs and has not panicked; a neighbour is as it was, and a new one becomes Ready.
    async fn well(&self, phase: &str) {
        let log = std::fs::read_to_string(self.operator.log()).unwrap();
        let bad = log
            .lines()
            .find(|line| line.contains("panicked") || line.contains("please report"));
        assert_eq!(bad, None, "seed {}, phase {phase}", self.seed);
        let answer = self.operator.get("/healthz").await.map(|(code, _)| code);
        assert_eq!(
            answer.ok(),
            Some(200),
            "seed {}, phase {phase}: the operator does not answer",
            self.seed
        );
        let old = self.case.get("Component", "neighbour").await;
        assert_eq!(
            says(&old, "Ready"),
            "True",
            "seed {}, phase {phase}: {:#}",
            self.seed,
            old["status"]
        );
        self.neighbour(&format!("neighbour-{}", phase.to_lowercase())).await;
    }

    /// What was Ready at first is Ready again, now that all is as it was.
    async fn recovered(&self, created: &BTreeSet<String>, first: &BTreeMap<String, Value>, subjects: &[Subject]) {
        self.settled("A2", created, subjects).await;
        let what = format!("seed {}: what was put right to be as it was", self.seed);
        eventually(&what, async || {
            let objects = self.live(subjects).await;
            let other = first.iter().find(|(name, before)| {
                says(before, "Ready") == "True" && objects.get(*name).is_none_or(|now| says(now, "Ready") != "True")
            });
            other.map_or(Ok(()), |(name, _)| {
                Err(format!("{:#}", objects.get(name).unwrap_or(&Value::Null)))
            })
        })
        .await;
    }

    async fn live(&self, subjects: &[Subject]) -> BTreeMap<String, Value> {
        let mut kinds: Vec<&Kind> = Vec::new();
        for subject in subjects {
            if !kinds.iter().any(|kind| kind.name == subject.kind.name) {
                kinds.push(&subject.kind);
            }
        }
        let mut live = BTreeMap::new();
        for kind in kinds {
            for object in self.api(kind).list(&ListParams::default()).await.unwrap() {
                let mut object = serde_json::to_value(object).unwrap();
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                if name.starts_with("fuzz-") {
                    object["metadata"].as_object_mut().unwrap().remove("managedFields");
                    live.insert(name, object);
                }
            }
        }
        live
    }

    /// Deletes them, and waits until all are gone.
    async fn clear(&self, subjects: &[Subject]) {
        let deletes = subjects.iter().map(|subject| async move {
            let _ = self
                .api(&subject.kind)
                .delete(&subject.name, &DeleteParams::default())
                .await;
        });
        stream::iter(deletes)
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<()>>()
            .await;
        let limit = patience() * 3;
        eventually_within(limit, "all objects to be gone", async || {
            let left = self.live(subjects).await;
            for object in left.values() {
                self.confirm(object).await;
            }
            left.into_values()
                .next()
                .map_or(Ok(()), |object| Err(format!("{object:#}")))
        })
        .await;
    }

    /// Confirms the deletion of an object that asks for it, as its message says.
    async fn confirm(&self, object: &Value) {
        let Some(ready) = condition(object, "Ready").filter(|ready| ready["reason"] == "DeletionNotConfirmed") else {
            return;
        };
        let name = object["metadata"]["name"].as_str().unwrap();
        let hash = ready["message"].as_str().unwrap().rsplit('=').next().unwrap();
        let confirmed = json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": hash}}});
        let _ = self
            .case
            .api(
                object["apiVersion"].as_str().unwrap(),
                object["kind"].as_str().unwrap(),
                &self.case.platform,
            )
            .patch(name, &PatchParams::default(), &Patch::Merge(confirmed))
            .await;
    }
}
