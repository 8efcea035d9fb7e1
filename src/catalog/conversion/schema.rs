//! What each kind's resource has, read off its definition.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::api::rules::{self, RefField};
use crate::api::{EntityMetadata, KINDS, crds};

/// What every kind, an instance, and a Group or User have that Backstage does not know.
const OURS: [&str; 3] = ["aliases", "template", "subjects"];
/// What makes a Template live.
const TEMPLATE_OURS: [&str; 11] = [
    "aliases",
    "version",
    "serviceAccountName",
    "allowedNamespaces",
    "targetNamespaces",
    "rollout",
    "revisionHistoryLimit",
    "include",
    "resources",
    "references",
    "examples",
];
/// The refs that an entity had before.
pub const ALIASES: &str = "aliases";
/// What every spec has that is about the conversion itself.
const CONVERSION: [&str; 2] = ["entityName", "extensions"];

/// The kinds of refs that fields hold.
const REF_FIELDS: [RefField; 11] = [
    rules::OWNER,
    rules::SYSTEM,
    rules::DOMAIN,
    rules::COMPONENT,
    rules::API,
    rules::DEPENDENCY,
    rules::TEMPLATE,
    rules::GROUP,
    rules::MEMBER,
    rules::INSTANCE,
    rules::ALIAS,
];

/// Where a field of a resource's `spec` stands in a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Under `metadata`.
    Metadata,
    /// Under `spec`.
    Spec,
    /// Nowhere: Backstage does not know it.
    Ours,
    /// It says how to convert.
    Conversion,
}

/// A kind that has a resource of its own.
#[derive(Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The fields of its `spec`: where each stands in a descriptor, and its schema.
    pub fields: BTreeMap<String, (Home, Value)>,
    /// The fields that it must have.
    pub required: Vec<String>,
}

impl Kind {
    /// The schema of the field that a descriptor has at `home` under this name.
    pub fn field(&self, home: Home, name: &str) -> Option<&Value> {
        self.fields
            .get(name)
            .filter(|(of, _)| *of == home)
            .map(|(_, schema)| schema)
    }

    /// The names of the fields at `home`.
    #[cfg(test)]
    pub fn names(&self, home: Home) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(_, (of, _))| *of == home)
            .map(|(name, _)| name.as_str())
    }
}

static OF_KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let definitions: Vec<Value> = crds::all()
        .iter()
        .filter_map(|crd| serde_json::to_value(crd).ok())
        .collect();
    KINDS.into_iter().filter_map(|name| read(name, &definitions)).collect()
});

static REFS: LazyLock<Vec<(Value, RefField)>> = LazyLock::new(|| {
    REF_FIELDS
        .into_iter()
        .flat_map(|field| {
            [
                (rules::reference(field), field),
                (rules::reference_of_many(field), field),
            ]
        })
        .collect()
});

/// The fields that resources of some kind have and Backstage does not know.
pub fn ours() -> impl Iterator<Item = &'static str> {
    // Every kind has aliases, and a Template too.
    OURS.into_iter()
        .chain(TEMPLATE_OURS.into_iter().filter(|name| !OURS.contains(name)))
}

/// The schema of a field that Backstage does not know, of a kind that has no resource of its own.
pub fn field_of_others(name: &str) -> Option<&'static Value> {
    (name == ALIASES)
        .then(|| kind("Component")?.field(Home::Ours, name))
        .flatten()
}

/// The kind of this name, compared without case; none where `Entity` stands for it.
pub fn kind(name: &str) -> Option<&'static Kind> {
    OF_KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(name))
}

/// What sort of ref a field with this schema holds; none where it holds none.
pub fn ref_field(schema: &Value) -> Option<RefField> {
    let validations = schema.get("x-kubernetes-validations")?;
    REFS.iter()
        .find(|(rules, _)| rules == validations)
        .map(|(_, field)| *field)
}

/// Whether a field with this schema keeps whatever it is given.
pub fn keeps_all(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
}

fn read(name: &'static str, definitions: &[Value]) -> Option<Kind> {
    let definition = definitions
        .iter()
        .find(|definition| definition.pointer("/spec/names/kind").and_then(Value::as_str) == Some(name))?;
    let spec = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")?;
    let of_metadata = schemars::schema_for!(EntityMetadata);
    let of_metadata = of_metadata.get("properties").and_then(Value::as_object);
    let home = |field: &str| {
        let ours = if name == "Template" {
            &TEMPLATE_OURS[..]
        } else {
            &OURS[..]
        };
        if CONVERSION.contains(&field) {
            Home::Conversion
        } else if ours.contains(&field) {
            Home::Ours
        } else if of_metadata.is_some_and(|fields| fields.contains_key(field)) {
            Home::Metadata
        } else {
            Home::Spec
        }
    };
    let fields: &Map<String, Value> = spec.get("properties")?.as_object()?;
    let required = spec.get("required").and_then(Value::as_array);
    Some(Kind {
        name,
        fields: fields
            .iter()
            .map(|(field, schema)| (field.clone(), (home(field), schema.clone())))
            .collect(),
        required: required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_every_kind_has_its_place_in_a_descriptor() {
        let expected = [
            ("API", "definition lifecycle owner system type", "aliases"),
            (
                "Component",
                "consumesApis dependencyOf dependsOn lifecycle owner providesApis subcomponentOf system type",
                "aliases template",
            ),
            ("Domain", "owner subdomainOf type", "aliases"),
            ("Group", "children members parent profile type", "aliases subjects"),
            ("Location", "presence target targets type", "aliases"),
            (
                "Resource",
                "dependencyOf dependsOn owner system type",
                "aliases template",
            ),
            ("System", "domain owner type", "aliases template"),
            (
                "Template",
                "lifecycle output owner parameters presentation secrets steps type",
                "aliases allowedNamespaces examples include references resources revisionHistoryLimit rollout serviceAccountName targetNamespaces version",
            ),
            ("User", "memberOf profile", "aliases subjects"),
        ];
        for (name, spec, ours) in expected {
            let kind = kind(name).unwrap();
            let listed = |home| kind.names(home).collect::<Vec<_>>().join(" ");
            assert_eq!(listed(Home::Spec), spec, "{name}");
            assert_eq!(listed(Home::Ours), ours, "{name}");
            assert_eq!(listed(Home::Metadata), "description links tags title", "{name}");
            assert_eq!(listed(Home::Conversion), "entityName extensions", "{name}");
        }
        assert_eq!(expected.len(), KINDS.len());
    }

    #[test]
    fn refs_are_known_by_their_rules() {
        let component = kind("component").unwrap();
        let refs: Vec<&str> = component
            .fields
            .iter()
            .filter(|(_, (_, schema))| ref_field(schema).or_else(|| ref_field(schema.get("items")?)).is_some())
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            refs,
            [
                "aliases",
                "consumesApis",
                "dependencyOf",
                "dependsOn",
                "owner",
                "providesApis",
                "subcomponentOf",
                "system"
            ]
        );
        let members = kind("Group").unwrap().field(Home::Spec, "members").unwrap();
        assert_eq!(ref_field(&members["items"]).map(|field| field.what), Some("member"));
    }
}
