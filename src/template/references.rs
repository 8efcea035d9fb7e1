//! References: other entities, or objects, that expressions read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compile::template_fault;
use super::content::Content;
use super::expression::analysis::{Declared, Site, analyse};
use super::expression::evaluate::Evaluator;
use super::expression::term::kind_of;
use super::fault::Fault;
use super::names::shown;
use super::tree::Node;
use crate::api::reasons::Reason;
use crate::api::template::Reference;

/// A reference that compiled.
#[derive(Debug)]
pub(crate) struct CompiledReference {
    pub(crate) id: String,
    pub(crate) condition: Option<Node>,
    pub(crate) target: CompiledTarget,
}

/// What it leads to.
#[derive(Debug)]
pub(crate) enum CompiledTarget {
    Entity(Node),
    Object(Box<CompiledObject>),
}

/// A reference to an object.
#[derive(Debug)]
pub(crate) struct CompiledObject {
    api_version: Node,
    kind: Node,
    namespace: Option<Node>,
    name: Node,
}

/// A reference that an instance wants read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedReference {
    /// The id by which expressions read it.
    pub id: String,
    /// What it leads to.
    pub target: ReferenceTarget,
}

/// What a reference leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReferenceTarget {
    /// An entity: the ref as the template and the parameters write it. Example: `resource:shop/orders-db`.
    Entity(String),
    /// An object, to be read as the template's account.
    Object {
        /// `group/version`, or `v1`.
        api_version: String,
        /// Kind. Never Secret.
        kind: String,
        /// Namespace; without it, the instance's own.
        namespace: Option<String>,
        /// Name.
        name: String,
    },
}

/// The apiVersion and kind of a reference to an object, where they are literal.
fn shape(reference: &Reference) -> (String, Option<(String, String)>) {
    let kind = reference
        .object
        .as_ref()
        .filter(|object| !object.api_version.contains("${{") && !object.kind.contains("${{"));
    (
        reference.id.clone(),
        kind.map(|object| (object.api_version.clone(), object.kind.clone())),
    )
}

/// The references of `content` by id, with apiVersion and kind where they are objects and literal.
pub(crate) fn shapes(content: &Content) -> BTreeMap<String, Option<(String, String)>> {
    content.references.iter().map(shape).collect()
}

/// Why an object cannot be referred to.
pub(crate) fn refused(api_version: &str, kind: &str) -> Option<String> {
    (kind == "Secret" && matches!(api_version, "v1" | "/v1"))
        .then(|| "a Secret cannot be read by expressions; refer to it by name where it is used".to_owned())
}

/// Checks one reference.
pub(crate) fn compile(reference: &Reference, names: &Declared<'_>, faults: &mut Vec<Fault>) -> CompiledReference {
    let path = format!("references.{}", shown(&reference.id, 63));
    let mut node = |value: &Value, field: &str| {
        let field = format!("{path}.{field}");
        let mut found = Vec::new();
        let node = Node::parse(value, &field, &mut found);
        node.visit(&field, &mut |path, expression| {
            let findings = analyse(expression, names, Site::Reference, None, None);
            found.extend(findings.faults.into_iter().map(|what| super::tree::At {
                path: path.to_owned(),
                what,
            }));
        });
        faults.extend(
            found
                .into_iter()
                .map(|at| template_fault(Reason::InvalidTemplate, &at.path, &at.what)),
        );
        node
    };
    let condition = reference.condition.as_ref().map(|condition| node(condition, "if"));
    let text = |text: &str| Value::String(text.to_owned());
    let target = match (&reference.reference, &reference.object) {
        (_, Some(object)) => CompiledTarget::Object(Box::new(CompiledObject {
            api_version: node(&text(&object.api_version), "object.apiVersion"),
            kind: node(&text(&object.kind), "object.kind"),
            namespace: object
                .namespace
                .as_ref()
                .map(|namespace| node(&text(namespace), "object.namespace")),
            name: node(&text(&object.name), "object.name"),
        })),
        (reference, None) => CompiledTarget::Entity(node(&reference.as_deref().map(text).unwrap_or_default(), "ref")),
    };
    match (&reference.reference, &reference.object) {
        (Some(_), Some(_)) => faults.push(template_fault(
            Reason::InvalidTemplate,
            &path,
            "has both ref and object, expected one of them",
        )),
        (None, None) => faults.push(template_fault(
            Reason::InvalidTemplate,
            &path,
            "has neither ref nor object, expected one of them",
        )),
        (_, Some(object)) => {
            if let Some(message) = refused(&object.api_version, &object.kind) {
                faults.push(template_fault(
                    Reason::KindNotAllowed,
                    &format!("{path}.object.kind"),
                    &message,
                ));
            }
        }
        (Some(_), None) => {}
    }
    CompiledReference {
        id: reference.id.clone(),
        condition,
        target,
    }
}

/// What a reference leads to for one instance; none where it is not wanted.
pub(crate) fn wanted<'a>(
    reference: &'a CompiledReference,
    evaluator: &Evaluator<'a>,
) -> Result<Option<WantedReference>, Fault> {
    let field = format!("references.{}", reference.id);
    let fault = |message: &str| template_fault(Reason::RenderFailed, &field, message);
    let wanted = reference
        .condition
        .as_ref()
        .map_or(Ok(true), |condition| condition.holds(evaluator));
    if !wanted.map_err(|stop| fault(&stop.told()))? {
        return Ok(None);
    }
    let text = |node: &'a Node| -> Result<Option<String>, Fault> {
        match node.value(evaluator).map_err(|at| fault(&at.what.told()))? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(fault(&format!("found {}, expected a string", kind_of(&other)))),
        }
    };
    let target = match &reference.target {
        CompiledTarget::Entity(node) => match text(node)? {
            Some(written) => ReferenceTarget::Entity(written),
            // A reference to nothing, such as a parameter that was not given, is not wanted.
            None => return Ok(None),
        },
        CompiledTarget::Object(object) => {
            let CompiledObject {
                api_version,
                kind,
                namespace,
                name,
            } = object.as_ref();
            let needed = |node: &'a Node, what: &str| text(node)?.ok_or_else(|| fault(&format!("{what} is missing")));
            let (api_version, kind) = (needed(api_version, "apiVersion")?, needed(kind, "kind")?);
            if let Some(message) = refused(&api_version, &kind) {
                return Err(template_fault(Reason::KindNotAllowed, &field, &message));
            }
            let namespace = namespace.as_ref().map(&text).transpose()?.flatten();
            ReferenceTarget::Object {
                api_version,
                kind,
                namespace,
                name: needed(name, "name")?,
            }
        }
    };
    Ok(Some(WantedReference {
        id: reference.id.clone(),
        target,
    }))
}
