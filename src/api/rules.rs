//! CEL rules: what the apiserver itself checks on every write, in words that a person can act on.
//!
//! A rule is given as the pair of an expression and an expression for its message, which names the value
//! that was found and shows a good one. Patterns stand here and not under `pattern`, since the apiserver's
//! message for a `pattern` is the regular expression.

use serde_json::{Value, json};

/// A namespace's name, and an environment's.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A name in Backstage.
const NAME: &str = "^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$";
/// `[kind:][namespace/]name`, each part with the characters that Backstage gives it, and at most 63 of them.
const REF: &str = "^([A-Za-z][A-Za-z0-9]{0,62}:)?([A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$";
/// As [`REF`], without the bounds on each part and a third as long: what the apiserver lets a rule cost grows with the
/// pattern's length, and some lists are long.
const SHORT_REF: &str = r"^(\\w+:)?([\\w-]+/)?([^\\W_][\\w.-]*)?[^\\W_]$";

/// The value in a message, so that an empty one can be seen.
const FOUND: &str = r#"(self == '' ? '""' : self)"#;

/// One rule: `expression` must hold, else the apiserver answers with what `message`, itself CEL, comes to.
pub fn rule(expression: &str, message: &str) -> Value {
    json!({"rule": expression, "messageExpression": message})
}

/// As [`rule`], with the words for a value that the apiserver does not put into a message: one with line breaks.
fn rule_or(expression: &str, message: &str, without_value: &str) -> Value {
    json!({"rule": expression, "messageExpression": message, "message": without_value})
}

/// As [`rule`], where the value that is wrong is that of a field below. Example of a path: `.selector`.
fn rule_at(path: &str, expression: &str, message: &str) -> Value {
    json!({"rule": expression, "messageExpression": message, "fieldPath": path})
}

/// What a field that holds a ref takes.
#[derive(Clone, Copy, Debug)]
pub struct RefField {
    /// What a message calls the value. Example: `owner`.
    pub what: &'static str,
    /// The kinds that it may be of, lower case; empty for every kind.
    pub kinds: &'static [&'static str],
    /// Whether the kind may be left out.
    pub default_kind: bool,
    /// A good value.
    pub example: &'static str,
}

/// The owner of an entity.
pub const OWNER: RefField = RefField {
    what: "owner",
    kinds: &["group", "user"],
    default_kind: true,
    example: "group:default/team-a",
};
/// The system that an entity is part of.
pub const SYSTEM: RefField = RefField {
    what: "system",
    kinds: &["system"],
    default_kind: true,
    example: "system:default/shop",
};
/// The domain that a system is part of.
pub const DOMAIN: RefField = RefField {
    what: "domain",
    kinds: &["domain"],
    default_kind: true,
    example: "domain:default/commerce",
};
/// The component that another is a part of.
pub const COMPONENT: RefField = RefField {
    what: "component",
    kinds: &["component"],
    default_kind: true,
    example: "component:default/orders",
};
/// An API that is provided or called.
pub const API: RefField = RefField {
    what: "API",
    kinds: &["api"],
    default_kind: true,
    example: "api:default/orders",
};
/// A dependency, in either direction. Backstage gives it no default kind.
pub const DEPENDENCY: RefField = RefField {
    what: "dependency",
    kinds: &[],
    default_kind: false,
    example: "resource:default/orders-db",
};
/// The template of an instance or of an include.
pub const TEMPLATE: RefField = RefField {
    what: "template",
    kinds: &["template"],
    default_kind: true,
    example: "platform/web-service",
};

/// The instance whose objects another takes over.
pub const INSTANCE: RefField = RefField {
    what: "instance",
    kinds: &["component", "resource", "system"],
    default_kind: false,
    example: "component:shop/orders",
};
/// A ref that an entity had before.
pub const ALIAS: RefField = RefField {
    what: "alias",
    kinds: &[],
    default_kind: false,
    example: "component:shop/orders",
};

/// A group: the parent or the child of another, or what a user is a member of.
pub const GROUP: RefField = RefField {
    what: "group",
    kinds: &["group"],
    default_kind: true,
    example: "group:default/team-a",
};
/// A member of a group.
pub const MEMBER: RefField = RefField {
    what: "member",
    kinds: &["user"],
    default_kind: true,
    example: "user:default/jdoe",
};

/// The rules for a string that holds a ref.
pub fn reference(field: RefField) -> Value {
    ref_rules(field, REF)
}

/// The rules for a ref of a list that may be very long.
pub fn reference_of_many(field: RefField) -> Value {
    ref_rules(field, SHORT_REF)
}

fn ref_rules(field: RefField, pattern: &str) -> Value {
    let RefField {
        what,
        kinds,
        default_kind,
        example,
    } = field;
    let form = if default_kind {
        "[kind:][namespace/]name"
    } else {
        "kind:[namespace/]name"
    };
    let advice = format!("write {form}, for example {example}");
    let mut rules = vec![rule_or(
        &format!("self.matches('{pattern}')"),
        &format!("'{what} ' + {FOUND} + ' is not an entity ref; {advice}'"),
        &format!("{what} is not an entity ref; {advice}"),
    )];
    if !default_kind {
        rules.push(rule_or(
            "self == '' || self.contains(':')",
            &format!("'{what} ' + self + ' does not say its kind, which has no default here; {advice}'"),
            &format!("{what} does not say its kind, which has no default here; {advice}"),
        ));
    }
    if !kinds.is_empty() {
        let list: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
        let expected = kinds.join(" or ");
        rules.push(rule_or(
            &format!(
                "self.indexOf(':') <= 0 || self.lowerAscii().split(':')[0] in [{}]",
                list.join(", ")
            ),
            &format!("'{what} ' + self + ' is of kind ' + self.split(':')[0] + ', expected {expected}; {advice}'"),
            &format!("{what} is of another kind, expected {expected}; {advice}"),
        ));
    }
    Value::Array(rules)
}

/// The rule for a string that must match `pattern`: `<what> <value> is not <kind>; write <advice>`.
fn text(pattern: &str, what: &str, kind: &str, advice: &str) -> Value {
    json!([rule_or(
        &format!("self.matches('{pattern}')"),
        &format!("'{what} ' + {FOUND} + ' is not {kind}; write {advice}'"),
        &format!("{what} is not {kind}; write {advice}"),
    )])
}

/// The rule for one tag.
pub fn tag() -> Value {
    text(
        "^[a-z0-9:+#]+(-[a-z0-9:+#]+)*$",
        "tag",
        "a tag of Backstage",
        "lower-case letters, digits, : + or #, in runs joined by -, for example event-driven or c++",
    )
}

/// The rule for the URL of a link.
pub fn url() -> Value {
    let advice = "is not an absolute http, https or mailto URL; write for example https://grafana.example.com/d/orders";
    json!([rule_or(
        r"self.matches(r'^(?i:https?://[^\s/?#]+\S*|mailto:[^\s@]+@\S+)$')",
        &format!("'link ' + {FOUND} + ' {advice}'"),
        &format!("link {advice}"),
    )])
}

/// The rule for the key of an icon.
pub fn icon() -> Value {
    text(
        NAME,
        "icon",
        "the key of an icon",
        "letters, digits, - _ or ., for example dashboard",
    )
}

/// The rule for a name in Backstage.
pub fn entity_name() -> Value {
    text(
        NAME,
        "entityName",
        "a name in Backstage",
        "letters, digits, - _ or ., beginning and ending with a letter or a digit, for example artist_Web",
    )
}

/// The rule for a namespace that is named literally.
pub fn namespace() -> Value {
    text(
        LABEL,
        "namespace",
        "the name of a namespace, and expressions are not evaluated here",
        "lower-case letters, digits or -, for example argocd",
    )
}

/// The rule for the name of an environment.
pub fn environment() -> Value {
    text(
        LABEL,
        "environment",
        "the name of an environment",
        "lower-case letters, digits or -, for example prod",
    )
}

/// The rule for the id of a resource, an include or a reference.
pub fn id() -> Value {
    text(
        "^[a-z][A-Za-z0-9]*$",
        "id",
        "an identifier",
        "a letter a-z, then letters and digits, for example firstRun",
    )
}

/// The rule for a resource's id as `dependsOn` names it: its own, or behind the id of an include.
pub fn resource_id() -> Value {
    text(
        "^[a-z][A-Za-z0-9]*([.][a-z][A-Za-z0-9]*)?$",
        "dependency",
        "the id of a resource",
        "the id as it stands under resources, for example firstRun, or behind the id of an include, for example guardrails.quota",
    )
}

/// The rule for a template's version.
pub fn version() -> Value {
    text(
        "^[A-Za-z0-9]([-A-Za-z0-9_.+]*[A-Za-z0-9])?$",
        "version",
        "a version",
        "letters, digits, - _ . or +, beginning and ending with a letter or a digit, for example 2.3.0",
    )
}

/// The rule for a service account's name.
pub fn service_account() -> Value {
    text(
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "serviceAccountName",
        "the name of a service account",
        "a name alone, of an account in this namespace, for example golden-path",
    )
}

/// The rule for a count that may be a percentage.
pub fn count_or_percentage() -> Value {
    json!([rule(
        "type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",
        "'' + string(self) + ' is neither a count nor a percentage; write for example 3 or 10%'",
    )])
}

/// The rule for a map whose keys are environments.
pub fn environment_keys() -> Value {
    json!([rule(
        &format!("self.all(name, name.size() <= 63 && name.matches('{LABEL}'))"),
        &format!(
            "'environment ' + self.filter(name, !(name.size() <= 63 && name.matches('{LABEL}')))[0] + ' is not the name of an environment; write at most 63 lower-case letters, digits or -, for example prod'"
        ),
    )])
}

/// The rule for `allowedNamespaces`: a selector when and only when it is asked for.
pub fn allowed_namespaces() -> Value {
    json!([rule_at(
        ".selector",
        "has(self.selector) == (self.from == 'Selector')",
        "has(self.selector) ? 'selector is given with from: ' + self.from + ', where it has no effect; write from: Selector, or leave the selector out' : 'from: Selector needs a selector; write for example selector: {matchLabels: {team: shop}}'",
    )])
}

/// The rule for one requirement of a label selector: values with `In` and `NotIn` only.
pub fn selector_requirement() -> Value {
    json!([rule(
        "(has(self.values) && size(self.values) > 0) == (self.operator in ['In', 'NotIn'])",
        "self.operator in ['In', 'NotIn'] ? 'operator ' + self.operator + ' needs values; write for example values: [shop]' : 'operator ' + self.operator + ' takes no values; leave them out, or write operator: In'",
    )])
}

/// The rule for one of a template's references: an entity or an object.
pub fn entity_or_object() -> Value {
    json!([rule(
        "has(self.ref) != has(self.object)",
        "'reference ' + self.id + (has(self.ref) ? ' has both ref and object; leave one of them out' : ' has neither ref nor object; write for example ref: resource:default/orders-db')",
    )])
}

/// The rule for the spec of every kind: a name in Backstage is given once and for all.
pub fn spec() -> Value {
    json!([entity_name_is_kept()])
}

/// The rules for the spec of a Template.
pub fn template_spec() -> Value {
    json!([
        entity_name_is_kept(),
        {
            "rule": "has(self.serviceAccountName) || !(has(self.resources) && size(self.resources) > 0 || has(self.include) && size(self.include) > 0)",
            "fieldPath": ".serviceAccountName",
            "reason": "FieldValueRequired",
            "message": "serviceAccountName is missing: objects are written as a service account of this namespace; write for example serviceAccountName: golden-path",
        },
    ])
}

fn entity_name_is_kept() -> Value {
    rule_at(
        ".entityName",
        "(has(self.entityName) ? self.entityName : '') == (has(oldSelf.entityName) ? oldSelf.entityName : '')",
        "'entityName cannot be changed: it was ' + (has(oldSelf.entityName) ? oldSelf.entityName : 'not given') + ' and would be ' + (has(self.entityName) ? self.entityName : 'not given') + '; create a new object instead'",
    )
}

/// The rules for the spec of an API.
pub fn api_spec() -> Value {
    json!([
        entity_name_is_kept(),
        {
            "rule": "has(self.definition) || has(self.extensions) && has(self.extensions.spec)",
            "fieldPath": ".definition",
            "reason": "FieldValueRequired",
            "message": "definition is missing: an API is described by its OpenAPI, AsyncAPI, GraphQL or gRPC text; write it under definition, or what stands for it under extensions.spec",
        },
    ])
}

/// The rules for the spec of an Entity: its ref stays as it is.
pub fn entity_spec() -> Value {
    let kept = |path: &str, expression: &str, was: &str, is: &str| {
        rule_at(
            path,
            expression,
            &format!(
                "'{} cannot be changed: it was ' + {was} + ' and would be ' + {is} + '; create a new object instead'",
                path.trim_start_matches('.')
            ),
        )
    };
    let name = |whose: &str| {
        format!("(has({whose}.metadata) && has({whose}.metadata.name) ? {whose}.metadata.name : 'not given')")
    };
    let (is, was) = (name("self"), name("oldSelf"));
    json!([
        kept(
            ".kind",
            "self.kind.lowerAscii() == oldSelf.kind.lowerAscii()",
            "oldSelf.kind",
            "self.kind"
        ),
        kept(".metadata.name", &format!("{is} == {was}"), &was, &is),
    ])
}

/// The rule for an Entity's `apiVersion`.
pub fn entity_api_version() -> Value {
    text(
        "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[a-zA-Z0-9]{1,63}$",
        "apiVersion",
        "an apiVersion of Backstage",
        "[group/]version, for example backstage.io/v1alpha1",
    )
}

/// The rules for an Entity's `kind`: a kind of Backstage's that is none of ours.
pub fn entity_kind() -> Value {
    let ours = super::KINDS.map(|kind| format!("'{}'", kind.to_lowercase())).join(", ");
    json!([
        rule(
            "self.matches('^[a-zA-Z][a-zA-Z0-9]*$')",
            &format!(
                "'kind ' + {FOUND} + ' is not a kind of Backstage; write a letter, then letters and digits, for example AiResource'"
            ),
        ),
        rule(
            &format!("!(self.lowerAscii() in [{ours}])"),
            &format!(
                "'kind ' + self + ' has a resource of its own; write apiVersion: {} and that kind instead of Entity'",
                super::API_VERSION
            ),
        ),
    ])
}

/// The rules for a subject of access control.
pub fn subject() -> Value {
    json!([
        rule_at(
            ".namespace",
            "(self.kind == 'ServiceAccount') == (has(self.namespace) && self.namespace != '')",
            "self.kind == 'ServiceAccount' ? 'service account ' + self.name + ' has no namespace; write for example namespace: ci' : 'namespace is given for a ' + self.kind + ', which has none; leave it out'",
        ),
        rule_at(
            ".apiGroup",
            "!has(self.apiGroup) || self.apiGroup == (self.kind == 'ServiceAccount' ? '' : 'rbac.authorization.k8s.io')",
            "'apiGroup ' + (self.apiGroup == '' ? '\"\"' : self.apiGroup) + ' is not that of a ' + self.kind + '; leave it out'",
        ),
    ])
}
