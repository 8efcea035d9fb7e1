//! What Artifact Hub shows of the chart.
//! <https://artifacthub.io/docs/topics/annotations/helm/>

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::helm::{RELEASE, chart, find, rendered};
use crate::support::repository;

fn annotation(name: &str) -> Value {
    let text = fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let about: Value = serde_saphyr::from_str(&text).unwrap();
    let text = about["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap();
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn it_lists_every_definition_with_its_own_words() {
    let expected: BTreeMap<String, Value> = rendered(&[])
        .iter()
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .map(|definition| {
            let (kind, version) = (&definition["spec"]["names"]["kind"], &definition["spec"]["versions"][0]);
            let listed = json!({
                "kind": kind, "displayName": kind, "version": version["name"],
                "name": definition["metadata"]["name"],
                "description": version["schema"]["openAPIV3Schema"]["description"],
            });
            (kind.as_str().unwrap().to_owned(), listed)
        })
        .collect();
    let listed = annotation("crds");
    let found: BTreeMap<String, Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["kind"].as_str().unwrap().to_owned(), one.clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn its_examples_are_valid() {
    let examples = annotation("crdsExamples");
    for example in examples.as_array().unwrap() {
        let kind = example["kind"].as_str().unwrap().to_lowercase();
        let place = repository().join(format!("schemas/catalog.landfall.dev/{kind}_v1alpha1.json"));
        let schema: Value = serde_json::from_str(&fs::read_to_string(place).unwrap()).unwrap();
        if let Err(error) = jsonschema::validate(&schema, example) {
            panic!("{kind}: {error}");
        }
    }
    assert_eq!(examples.as_array().unwrap().len(), 2);
}

#[test]
fn its_image_is_the_one_that_is_installed() {
    let objects = rendered(&[]);
    let deployment = find(&objects, "Deployment", RELEASE).unwrap();
    assert_eq!(
        annotation("images")[0]["image"],
        deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    );
}
