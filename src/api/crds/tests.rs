//! What holds for every CRD, whoever adds a field.

use super::*;

/// Every schema of a CRD with the path to it; `[]` is a list's item, `{}` a map's value.
fn schemas(crd: &CustomResourceDefinition) -> Vec<(String, JSONSchemaProps)> {
    fn walk(path: &str, schema: &JSONSchemaProps, found: &mut Vec<(String, JSONSchemaProps)>) {
        found.push((path.to_owned(), schema.clone()));
        for (name, property) in schema.properties.iter().flatten() {
            walk(&format!("{path}.{name}"), property, found);
        }
        match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => walk(&format!("{path}[]"), items, found),
            Some(JSONSchemaPropsOrArray::Schemas(_)) => panic!("{path}: a list has one schema for all its items"),
            None => {}
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            walk(&format!("{path}{{}}"), values, found);
        }
    }
    let mut found = Vec::new();
    for version in &crd.spec.versions {
        let root = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        walk(&crd.spec.names.singular.clone().unwrap(), root, &mut found);
    }
    found
}

fn faults(path: &str, schema: &JSONSchemaProps) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, fault: &str| {
        if !holds {
            faults.push(format!("{path}: {fault}"));
        }
    };
    let kind = schema.type_.as_deref();
    let any = schema.x_kubernetes_preserve_unknown_fields == Some(true);
    let member = path.ends_with("[]") || path.ends_with("{}");
    // Described by the apiserver, as for every kind.
    let standard = path.ends_with(".metadata") && path.matches('.').count() == 1;
    check(
        member || standard || schema.description.as_ref().is_some_and(|text| text.len() > 3),
        "no description",
    );
    check(
        kind.is_some() || any || schema.x_kubernetes_int_or_string == Some(true),
        "no type",
    );
    check(kind != Some("number"), "a float");
    check(
        schema.one_of.is_none() && schema.all_of.is_none(),
        "oneOf or allOf, which is not structural",
    );
    check(schema.nullable.is_none(), "nullable");
    if kind == Some("string") || schema.x_kubernetes_int_or_string == Some(true) {
        check(
            schema.max_length.is_some() || schema.enum_.is_some(),
            "an unbounded string",
        );
    }
    if kind == Some("array") {
        check(schema.max_items.is_some(), "an unbounded list");
        check(schema.x_kubernetes_list_type.is_some(), "no list type");
    }
    let map = matches!(schema.additional_properties, Some(JSONSchemaPropsOrBool::Schema(_)));
    if map || (kind == Some("object") && any) {
        check(schema.max_properties.is_some(), "an unbounded map");
    }
    check(
        schema.x_kubernetes_embedded_resource.is_none(),
        "an embedded resource, whose metadata is checked",
    );
    faults
}

#[test]
fn every_field_is_described_typed_and_bounded() {
    let faults: Vec<String> = all()
        .iter()
        .flat_map(schemas)
        .flat_map(|(path, schema)| faults(&path, &schema))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// kube puts the description of an enumeration in the place of the field's.
#[test]
fn a_field_that_is_one_of_a_few_words_has_its_own_description() {
    let by_path: std::collections::BTreeMap<String, JSONSchemaProps> = all().iter().flat_map(schemas).collect();
    for path in [
        "component.spec.template.deletionPolicy",
        "template.spec.rollout.strategy",
        "template.spec.resources[].mode",
    ] {
        let description = by_path[path].description.clone().unwrap_or_default();
        assert!(description.contains("(default)"), "{path}: {description}");
    }
}

#[test]
fn a_list_with_a_natural_key_is_a_map_by_it() {
    // Entries of these are told apart by more than one field, some of which may be absent.
    let atomic = ["inventory", "pipelines", "steps", "matchExpressions", "subjects"];
    for (path, schema) in all().iter().flat_map(schemas) {
        let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items else {
            continue;
        };
        if atomic.iter().any(|name| path.ends_with(name)) {
            assert_eq!(schema.x_kubernetes_list_type.as_deref(), Some("atomic"), "{path}");
            continue;
        }
        let required = items.required.clone().unwrap_or_default();
        let key = ["id", "type", "name", "url"]
            .into_iter()
            .find(|key| required.iter().any(|name| name == key));
        if let Some(key) = key {
            assert_eq!(schema.x_kubernetes_list_type.as_deref(), Some("map"), "{path}");
            assert_eq!(schema.x_kubernetes_list_map_keys, Some(vec![key.to_owned()]), "{path}");
        }
    }
}

#[test]
fn shapes_that_cannot_change_later() {
    let templates: std::collections::BTreeMap<String, JSONSchemaProps> = all().iter().flat_map(schemas).collect();
    for untyped in [
        "template.spec.parameters",
        "template.spec.resources[].if",
        "template.spec.resources[].each",
        "template.spec.resources[].readyWhen",
        "template.spec.include[].parameters",
    ] {
        let schema = &templates[untyped];
        assert_eq!(
            (schema.type_.as_deref(), schema.x_kubernetes_preserve_unknown_fields),
            (None, Some(true)),
            "{untyped}"
        );
    }
    for object in [
        "template.spec.resources[].manifest",
        "template.spec.output",
        "component.spec.template.parameters",
    ] {
        let schema = &templates[object];
        assert_eq!(schema.type_.as_deref(), Some("object"), "{object}");
        assert_eq!(schema.x_kubernetes_preserve_unknown_fields, Some(true), "{object}");
    }
    assert_eq!(
        templates["template.spec.resources"].x_kubernetes_list_map_keys,
        Some(vec!["id".to_owned()])
    );
    assert_eq!(
        templates["component.status.inventory"]
            .x_kubernetes_list_type
            .as_deref(),
        Some("atomic")
    );
    assert_eq!(
        templates["system.status.conditions"].x_kubernetes_list_map_keys,
        Some(vec!["type".to_owned()])
    );
}

#[test]
fn a_new_object_says_that_nothing_is_known_yet() {
    for crd in all() {
        let version = &crd.spec.versions[0];
        assert!(version.subresources.as_ref().unwrap().status.is_some());
        let schemas = schemas(&crd);
        let defaults: Vec<&str> = schemas
            .iter()
            .filter(|(path, schema)| path.contains(".status") && schema.default.is_some())
            .map(|(path, _)| path.as_str())
            .collect();
        assert_eq!(
            defaults,
            [format!("{}.status", crd.spec.names.singular.as_ref().unwrap())]
        );
        let status = schemas
            .iter()
            .find(|(path, _)| path.ends_with(".status"))
            .unwrap()
            .1
            .clone();
        assert_eq!(status.default.unwrap().0, status_default());
    }
}

#[test]
fn names_are_the_whole_familys_and_short_names_are_ours_alone() {
    for crd in all() {
        assert_eq!(
            crd.metadata.name,
            Some(format!("{}.catalog.landfall.dev", crd.spec.names.plural))
        );
        assert_eq!(crd.spec.names.categories, Some(vec!["catalog".to_owned()]));
        let short = crd.spec.names.short_names.unwrap();
        assert!(short.len() == 1 && short[0].starts_with("lf"), "{short:?}");
    }
}

/// Argo CD shows a permanent difference for a list that is there and empty.
#[test]
fn nothing_is_there_and_empty() {
    fn empties(path: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) if items.is_empty() => found.push(path.to_owned()),
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| empties(&format!("{path}[{index}]"), item, found));
            }
            Value::Object(fields) => {
                fields
                    .iter()
                    .for_each(|(name, field)| empties(&format!("{path}.{name}"), field, found));
            }
            Value::Null => found.push(path.to_owned()),
            _ => {}
        }
    }
    for crd in all() {
        let mut found = Vec::new();
        empties("", &serde_json::to_value(&crd).unwrap(), &mut found);
        // `status: {}` of the subresource is a map, whose presence is its meaning.
        assert!(found.is_empty(), "{}: {found:?}", crd.spec.names.kind);
    }
}

#[test]
fn yaml_reads_back_as_the_same_values() {
    for crd in all() {
        let text = to_yaml(std::slice::from_ref(&crd)).unwrap();
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, serde_json::to_value(&crd).unwrap());
    }
}
