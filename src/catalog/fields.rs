//! Which fields of an entity name other entities, and what they say. The rules are Backstage's
//! (docs/features/software-catalog/descriptor-format.md and plugins/catalog-backend, `BuiltinKindsEntityProcessor`).

use serde_json::Value;

use super::refs::{self, EntityRef, RefError};
use super::relations::Role;
use crate::api::rules::{self, RefField};

/// A field that holds a ref, or a list of them.
struct Field {
    /// Where it is, below `spec`.
    path: &'static str,
    /// What the entity is to those that it names.
    role: Role,
    /// What it takes.
    takes: RefField,
}

const fn field(path: &'static str, role: Role, takes: RefField) -> Field {
    Field { path, role, takes }
}

const OWNER: Field = field("owner", Role::OwnedBy, rules::OWNER);
const SYSTEM: Field = field("system", Role::PartOf, rules::SYSTEM);
const SUBCOMPONENT: Field = field("subcomponentOf", Role::PartOf, rules::COMPONENT);
const PROVIDES: Field = field("providesApis", Role::ProvidesApi, rules::API);
const CONSUMES: Field = field("consumesApis", Role::ConsumesApi, rules::API);
const DEPENDS: Field = field("dependsOn", Role::DependsOn, rules::DEPENDENCY);
const DEPENDENCY: Field = field("dependencyOf", Role::DependencyOf, rules::DEPENDENCY);
const DOMAIN: Field = field("domain", Role::PartOf, rules::DOMAIN);
const SUBDOMAIN: Field = field("subdomainOf", Role::PartOf, rules::DOMAIN);
const PARENT: Field = field("parent", Role::ChildOf, rules::GROUP);
const CHILDREN: Field = field("children", Role::ParentOf, rules::GROUP);
const MEMBERS: Field = field("members", Role::HasMember, rules::MEMBER);
const MEMBER_OF: Field = field("memberOf", Role::MemberOf, rules::GROUP);
const TEMPLATE: Field = field("template.ref", Role::InstanceOf, rules::TEMPLATE);

/// The fields of a kind of ours that name others, in the order in which they are told of.
fn fields(kind: &str) -> &'static [Field] {
    match kind {
        "Component" => &[
            OWNER,
            SYSTEM,
            SUBCOMPONENT,
            PROVIDES,
            CONSUMES,
            DEPENDS,
            DEPENDENCY,
            TEMPLATE,
        ],
        "API" => &[OWNER, SYSTEM],
        "Resource" => &[OWNER, SYSTEM, DEPENDS, DEPENDENCY, TEMPLATE],
        "System" => &[OWNER, DOMAIN, TEMPLATE],
        "Domain" => &[OWNER, SUBDOMAIN],
        "Group" => &[PARENT, CHILDREN, MEMBERS],
        "User" => &[MEMBER_OF],
        "Template" => &[OWNER],
        // The kinds that others invent keep to these names.
        "Entity" => &[
            OWNER,
            SYSTEM,
            DOMAIN,
            SUBCOMPONENT,
            PROVIDES,
            CONSUMES,
            DEPENDS,
            DEPENDENCY,
        ],
        _ => &[],
    }
}

/// A ref as a field of an entity has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The field, below `spec`. Example: `dependsOn[2]`.
    pub field: String,
    /// The text.
    pub text: String,
    /// What the entity is to the one that is named.
    pub role: Role,
    /// The kinds that the field takes, lower case; empty for every kind.
    pub kinds: &'static [&'static str],
    /// What the text means.
    pub target: Result<EntityRef, RefError>,
}

/// The refs in the spec of an entity of a kind of ours, in the order in which they stand. What is no text is passed over:
/// the schema keeps it out, but for an Entity, in which it means nothing to us.
pub fn written(kind: &str, namespace: &str, spec: &Value) -> Vec<Written> {
    let (spec, before) = if kind == "Entity" {
        (spec.get("spec").unwrap_or(&Value::Null), "spec.")
    } else {
        (spec, "")
    };
    let mut found = Vec::new();
    for field in fields(kind) {
        let Some(value) = field.path.split('.').try_fold(spec, |value, name| value.get(name)) else {
            continue;
        };
        match value {
            Value::String(text) => found.push(read(field, format!("{before}{}", field.path), text, namespace)),
            Value::Array(items) => {
                let texts = items
                    .iter()
                    .enumerate()
                    .filter_map(|(place, item)| Some((place, item.as_str()?)));
                found.extend(
                    texts.map(|(place, text)| read(field, format!("{before}{}[{place}]", field.path), text, namespace)),
                );
            }
            _ => {}
        }
    }
    found
}

fn read(field: &Field, name: String, text: &str, namespace: &str) -> Written {
    let RefField {
        kinds, default_kind, ..
    } = field.takes;
    let default = kinds.first().copied().filter(|_| default_kind);
    let target = refs::parse(text, default, namespace).and_then(|target| {
        if kinds.is_empty() || kinds.contains(&target.kind.as_str()) {
            return Ok(target);
        }
        Err(RefError::WrongKind {
            text: text.to_owned(),
            found: target.kind,
            expected: kinds.join(" or "),
        })
    });
    Written {
        field: name,
        text: text.to_owned(),
        role: field.role,
        kinds,
        target,
    }
}

/// A ref that an entity had before, as its spec has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The field, below `spec`. Example: `aliases[0]`.
    pub field: String,
    /// What the text means.
    pub target: Result<EntityRef, RefError>,
}

/// The refs that an entity of a kind of ours had before, in the order in which they stand. They are of its own kind.
pub fn aliases(kind: &str, namespace: &str, spec: &Value) -> Vec<Alias> {
    let texts = spec.get("aliases").and_then(Value::as_array).into_iter().flatten();
    let texts = texts
        .enumerate()
        .filter_map(|(place, item)| Some((place, item.as_str()?)));
    let own = reference(kind, namespace, "", spec).kind;
    let read = |text: &str| {
        let target = refs::parse(text, None, namespace)?;
        if target.kind == own {
            return Ok(target);
        }
        Err(RefError::WrongKind {
            text: text.to_owned(),
            found: target.kind,
            expected: format!("{own}, which is its own"),
        })
    };
    texts
        .map(|(place, text)| Alias {
            field: format!("aliases[{place}]"),
            target: read(text),
        })
        .collect()
}

/// The ref of an entity: by its name in Backstage where that is another than the object's, and of an Entity by the kind
/// that it stands for.
pub fn reference(kind: &str, namespace: &str, name: &str, spec: &Value) -> EntityRef {
    let text = |path: &str| {
        spec.pointer(path)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    if kind == "Entity" {
        EntityRef::new(
            text("/kind").unwrap_or("entity"),
            namespace,
            text("/metadata/name").unwrap_or(name),
        )
    } else {
        EntityRef::new(kind, namespace, text("/entityName").unwrap_or(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value)] // It is given what json! has just made.
    fn targets(kind: &str, spec: Value) -> Vec<String> {
        written(kind, "shop", &spec)
            .into_iter()
            .map(|written| {
                let target = written
                    .target
                    .map_or_else(|error| error.to_string(), |target| target.to_string());
                format!("{} {} {target}", written.field, written.role.word().unwrap_or("-"))
            })
            .collect()
    }

    #[test]
    fn each_field_has_the_default_kind_that_backstage_gives_it() {
        assert_eq!(
            targets(
                "Component",
                json!({
                    "dependencyOf": ["Component:B"], "dependsOn": ["resource:a", "bare"], "consumesApis": ["x/A"], "providesApis": ["a"],
                    "subcomponentOf": "big", "system": "s", "owner": "user:Jenny", "template": {"ref": "platform/web"},
                })
            ),
            [
                "owner ownedBy user:shop/jenny",
                "system partOf system:shop/s",
                "subcomponentOf partOf component:shop/big",
                "providesApis[0] providesApi api:shop/a",
                "consumesApis[0] consumesApi api:x/a",
                "dependsOn[0] dependsOn resource:shop/a",
                "dependsOn[1] dependsOn \"bare\" does not say its kind; write kind:[namespace/]name, for example component:bare",
                "dependencyOf[0] dependencyOf component:shop/b",
                "template.ref - template:platform/web",
            ]
        );
        assert_eq!(targets("API", json!({"owner": "a", "system": "s"})).len(), 2);
        assert_eq!(
            targets("System", json!({"owner": "a", "domain": "d"}))[1],
            "domain partOf domain:shop/d"
        );
        assert_eq!(
            targets("Domain", json!({"subdomainOf": "d"})),
            ["subdomainOf partOf domain:shop/d"]
        );
        assert_eq!(
            targets(
                "Group",
                json!({"parent": "a", "children": ["b"], "members": ["c", "group:x"]})
            ),
            [
                "parent childOf group:shop/a",
                "children[0] parentOf group:shop/b",
                "members[0] hasMember user:shop/c",
                "members[1] hasMember \"group:x\" is of kind group, expected user",
            ]
        );
        assert_eq!(
            targets("User", json!({"memberOf": ["a"]})),
            ["memberOf[0] memberOf group:shop/a"]
        );
        assert!(targets("Location", json!({"target": "a"})).is_empty());
        assert_eq!(
            targets(
                "Entity",
                json!({"kind": "AiResource", "spec": {"owner": "a", "system": 5, "dependsOn": [5, "api:x"]}})
            ),
            [
                "spec.owner ownedBy group:shop/a",
                "spec.dependsOn[1] dependsOn api:shop/x"
            ]
        );
    }

    #[test]
    fn a_ref_of_before_is_of_the_entitys_own_kind() {
        let said = |kind: &str, spec: Value| -> Vec<String> {
            let aliases = aliases(kind, "shop", &spec).into_iter();
            aliases
                .map(|alias| {
                    alias
                        .target
                        .map_or_else(|error| error.to_string(), |target| target.to_string())
                })
                .collect()
        };
        assert_eq!(
            said(
                "Component",
                json!({"aliases": ["component:A", 5, "Component:old/b", "api:c", "d"]})
            ),
            [
                "component:shop/a",
                "component:old/b",
                "\"api:c\" is of kind api, expected component, which is its own",
                "\"d\" does not say its kind; write kind:[namespace/]name, for example component:d",
            ]
        );
        let entity = json!({"kind": "AiResource", "aliases": ["airesource:a"]});
        assert_eq!(said("Entity", entity), ["airesource:shop/a"]);
    }

    #[test]
    fn a_ref_is_by_the_name_in_backstage() {
        let said = |kind: &str, spec: Value| reference(kind, "shop", "skill-1", &spec).to_string();
        assert_eq!(said("API", json!({})), "api:shop/skill-1");
        assert_eq!(
            said("Component", json!({"entityName": "Skill_1"})),
            "component:shop/skill_1"
        );
        let entity = json!({"kind": "AiResource", "metadata": {"name": "Skill_1", "namespace": "elsewhere"}});
        assert_eq!(said("Entity", entity), "airesource:shop/skill_1");
        assert_eq!(said("Entity", json!({"kind": "AiResource"})), "airesource:shop/skill-1");
    }
}
