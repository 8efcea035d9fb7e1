//! Includes: other templates whose resources join a template's own, each in a part of the plan where its own names hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::compile::{Policy, ids, output_names, template_fault};
use super::content::{Content, Included};
use super::expression::analysis::{Declared, Site, analyse};
use super::expression::context::{Named, NamedInclude, NamedResource, Names};
use super::expression::paths::each_value;
use super::expression::text::Text;
use super::fault::Fault;
use super::kinds::Kinds;
use super::names::{hint, listed, shown};
use super::parameters::{Schema, Shape};
use super::references::{self, CompiledReference};
use super::resource::{self, CompiledResource, need};
use super::tree::Node;
use crate::api::reasons::Reason;
use crate::api::template::Include;

/// How deep templates may include each other.
pub const MAX_DEPTH: usize = 8;
/// How many templates one may include, those that these include among them.
pub const MAX_INCLUDES: usize = 64;
/// How many resources a template may have, those of what it includes among them.
const MAX_RESOURCES: usize = 512;

/// An include that compiled.
#[derive(Debug)]
pub(crate) struct CompiledInclude {
    /// Its id in the plan. Example: `delivery.guardrails`.
    pub(crate) id: String,
    /// The place of the include that it is in, always smaller than its own.
    pub(crate) parent: Option<usize>,
    pub(crate) each: Option<Node>,
    pub(crate) condition: Option<Node>,
    pub(crate) parameters: Node,
    /// What the included template declares.
    pub(crate) schema: Arc<Schema>,
    /// `template` as the included template's expressions see it.
    pub(crate) template: Value,
    /// What the included template's ids stand for.
    pub(crate) names: Arc<Names>,
    /// Its references.
    pub(crate) references: Vec<CompiledReference>,
}

/// The parts of a template, in the making.
pub(crate) struct Parts<'c> {
    pub(crate) kinds: &'c dyn Kinds,
    pub(crate) policy: &'c Policy,
    pub(crate) faults: Vec<Fault>,
    /// The template's own come first.
    pub(crate) resources: Vec<CompiledResource>,
    pub(crate) includes: Vec<CompiledInclude>,
}

/// One template, and where it stands.
pub(crate) struct Part<'p> {
    pub(crate) content: &'p Content,
    pub(crate) names: &'p Names,
    pub(crate) schema: &'p Schema,
    /// Whether names that the schema does not declare are told of.
    pub(crate) open: bool,
    /// The include that it is.
    pub(crate) include: Option<usize>,
    /// How many includes it is in, and how many of them have `each`.
    pub(crate) level: usize,
    pub(crate) depth: usize,
    /// What all of it needs.
    pub(crate) needs: &'p BTreeMap<String, usize>,
}

/// What the ids of `content` stand for, behind `before`: nothing, or the id of an include and a dot.
pub(crate) fn names(content: &Content, before: &str) -> Names {
    let resources = content.resources.iter().map(|resource| {
        let named = NamedResource {
            id: format!("{before}{}", resource.id),
            repeated: resource.each.is_some(),
            kind: resource::literal_kind(resource),
        };
        (resource.id.clone(), Named::Resource(named))
    });
    let includes = content
        .include
        .iter()
        .zip(&content.included)
        .map(|(include, included)| {
            let id = format!("{before}{}", include.id);
            let named = NamedInclude {
                names: Arc::new(names(&included.content, &format!("{id}."))),
                id,
                repeated: include.each.is_some(),
            };
            (include.id.clone(), Named::Include(named))
        });
    resources.chain(includes).collect()
}

impl Parts<'_> {
    /// Compiles one template, and those that it includes. Gives its references.
    pub(crate) fn add(&mut self, part: &Part<'_>) -> Vec<CompiledReference> {
        let start = self.faults.len();
        let references = self.own(part);
        self.told_of(part.include, start);
        let shapes = part.schema.shapes();
        let (reference_kinds, steps) = (references::shapes(part.content), BTreeSet::new());
        let declared = Declared {
            parameters: &shapes,
            open: part.open,
            resources: part.names,
            depth: part.depth,
            references: &reference_kinds,
            steps: &steps,
            kinds: self.kinds,
        };
        for (include, included) in part.content.include.iter().zip(&part.content.included) {
            if part.level >= MAX_DEPTH || self.includes.len() >= MAX_INCLUDES {
                let message = format!(
                    "more than {MAX_INCLUDES} included templates, or templates that include each other more than {MAX_DEPTH} deep; include fewer"
                );
                self.fault("include", &message);
                return references;
            }
            self.include(part, include, included, &declared);
        }
        references
    }

    fn fault(&mut self, field: &str, message: &str) {
        let fault = template_fault(Reason::InvalidTemplate, field, message);
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// The template's own references and resources.
    fn own(&mut self, part: &Part<'_>) -> Vec<CompiledReference> {
        ids(part.content, &mut self.faults);
        let shapes = part.schema.shapes();
        let (reference_kinds, steps) = (references::shapes(part.content), output_names(part.content));
        let declared = Declared {
            parameters: &shapes,
            open: part.open,
            resources: part.names,
            depth: part.depth,
            references: &reference_kinds,
            steps: &steps,
            kinds: self.kinds,
        };
        let references = part.content.references.iter();
        let references = references
            .map(|reference| references::compile(reference, &declared, &mut self.faults))
            .collect();
        for spec in &part.content.resources {
            if self.resources.len() == MAX_RESOURCES {
                let message = format!("more than {MAX_RESOURCES} resources, with those of included templates");
                self.fault("resources", &message);
                break;
            }
            let mut compiled = resource::compile(spec, &declared, self.policy, &mut self.faults);
            compiled.include = part.include;
            for (id, same_keys) in part.needs {
                need(&mut compiled.depends_on, id.clone(), *same_keys);
            }
            self.resources.push(compiled);
        }
        references
    }

    /// Says of the faults behind `start` that are of a template as a whole which included one it is.
    fn told_of(&mut self, include: Option<usize>, start: usize) {
        let Some(include) = include.and_then(|place| self.includes.get(place)) else {
            return;
        };
        let text = |name: &str| include.template.get(name).and_then(Value::as_str).unwrap_or_default();
        let template = format!("{}/{}, version {}", text("namespace"), text("name"), text("version"));
        for fault in self
            .faults
            .iter_mut()
            .skip(start)
            .filter(|fault| fault.resource.is_none())
        {
            fault.message = format!("template {template}: {}: {}", fault.field, fault.message);
            fault.field = format!("include[{}]", include.id);
        }
    }

    fn include(&mut self, part: &Part<'_>, include: &Include, included: &Included, declared: &Declared<'_>) {
        let Some(Named::Include(named)) = part.names.get(&include.id) else {
            // Two of one id, which is told of.
            return;
        };
        let field = format!("include[{}]", named.id);
        let schema = Schema::compile(included.content.parameters.as_ref());
        let broken = schema.is_err();
        let schema = Arc::new(schema.unwrap_or_default());
        let mut needs = part.needs.clone();
        let mut compiler = IncludeCompiler {
            declared,
            field: &field,
            needs: &mut needs,
            faults: &mut self.faults,
            each: None,
        };
        let (each, condition, parameters) = compiler.fields(include);
        if !broken {
            compiler.given(include.parameters.as_ref(), &included.content, &schema);
        }
        let (namespace, name) = included.template.split_once('/').unwrap_or(("", &included.template));
        let place = self.includes.len();
        self.includes.push(CompiledInclude {
            id: named.id.clone(),
            parent: part.include,
            each,
            condition,
            parameters,
            schema: Arc::clone(&schema),
            template: json!({"name": name, "namespace": namespace, "version": included.version}),
            names: Arc::clone(&named.names),
            references: Vec::new(),
        });
        let references = self.add(&Part {
            content: &included.content,
            names: &named.names,
            schema: &schema,
            open: schema.open() || broken,
            include: Some(place),
            level: part.level + 1,
            depth: part.depth + usize::from(named.repeated),
            needs: &needs,
        });
        if let Some(compiled) = self.includes.get_mut(place) {
            compiled.references = references;
        }
    }
}

/// The fields of one include.
struct IncludeCompiler<'c, 'n> {
    declared: &'c Declared<'n>,
    field: &'c str,
    needs: &'c mut BTreeMap<String, usize>,
    faults: &'c mut Vec<Fault>,
    /// What is known of `each.value`.
    each: Option<Shape<'n>>,
}

impl IncludeCompiler<'_, '_> {
    fn fields(&mut self, include: &Include) -> (Option<Node>, Option<Node>, Node) {
        let each = include.each.as_ref().map(|each| self.node(each, "each"));
        self.each = each.as_ref().map(|each| {
            let whole = match each {
                Node::Text(Text::Whole(expression)) => Some(expression),
                _ => None,
            };
            each_value(whole, self.declared)
        });
        let condition = include.condition.as_ref().map(|condition| self.node(condition, "if"));
        if matches!(&condition, Some(Node::Literal(Value::String(text))) if !text.is_empty())
            || matches!(&condition, Some(Node::Text(Text::Mixed(_))))
        {
            self.fault(
                "if",
                "a text is always true; write true, false, or one expression in ${{ }}",
            );
        }
        let empty = json!({});
        let given = include.parameters.as_ref().unwrap_or(&empty);
        let parameters = self.node(given, "parameters");
        let is_map = match &parameters {
            Node::Literal(literal) => literal.is_object(),
            Node::Map(_) | Node::Text(Text::Whole(_)) => true,
            Node::List(_) | Node::Text(Text::Mixed(_)) => false,
        };
        if !is_map {
            self.fault(
                "parameters",
                "expected a map of parameters, or one expression in ${{ }} that gives one",
            );
        }
        (each, condition, parameters)
    }

    fn fault(&mut self, field: &str, message: &str) {
        let field = format!("{}.{field}", self.field);
        self.faults
            .push(template_fault(Reason::InvalidTemplate, &field, message));
    }

    fn node(&mut self, value: &Value, field: &str) -> Node {
        let field = format!("{}.{field}", self.field);
        let mut found = Vec::new();
        let node = Node::parse(value, &field, &mut found);
        let mut uses = Vec::new();
        node.visit(&field, &mut |path, expression| {
            let findings = analyse(expression, self.declared, Site::Identity, self.each.as_ref(), None);
            let faults = findings.faults.into_iter().map(|what| super::tree::At {
                path: path.to_owned(),
                what,
            });
            found.extend(faults);
            uses.extend(findings.uses);
        });
        for used in uses {
            need(self.needs, used.id, used.same_keys);
        }
        let faults = found.into_iter();
        self.faults
            .extend(faults.map(|at| template_fault(Reason::InvalidTemplate, &at.path, &at.what)));
        node
    }

    /// Checks what can be known of the given parameters: that the included template has them, and that none is missing that it needs.
    fn given(&mut self, given: Option<&Value>, content: &Content, schema: &Schema) {
        let empty = serde_json::Map::new();
        let given = match given {
            None => &empty,
            Some(Value::Object(given)) => given,
            // An expression: what it gives shows in a plan.
            Some(_) => return,
        };
        let declared = schema.declared();
        let unknown = given
            .keys()
            .filter(|name| !schema.open() && !declared.contains(*name) && !name.contains("${{"));
        for name in unknown {
            let near = hint(name, declared.iter().map(String::as_str));
            let has = match (near.is_empty(), declared.is_empty()) {
                (false, _) => near,
                (true, true) => "; the included template has no parameters".to_owned(),
                (true, false) => format!(
                    "; the included template has {}",
                    listed(declared.iter().map(String::as_str), 10)
                ),
            };
            self.fault(
                &format!("parameters.{}", shown(name, 63)),
                &format!("unknown parameter{has}"),
            );
        }
        for name in schema::required(content.parameters.as_ref()) {
            if !given.contains_key(&name) && !given.keys().any(|name| name.contains("${{")) {
                self.fault(
                    &format!("parameters.{}", shown(&name, 63)),
                    "missing, and the included template requires it",
                );
            }
        }
    }
}

mod schema {
    use std::collections::BTreeSet;

    use serde_json::Value;

    /// The parameters that have to be given: required, and without a default.
    pub(super) fn required(parameters: Option<&Value>) -> BTreeSet<String> {
        let pages = match parameters {
            Some(Value::Array(pages)) => pages.iter().collect(),
            Some(page) => vec![page],
            None => Vec::new(),
        };
        let mut found = BTreeSet::new();
        for page in pages {
            let names = page.get("required").and_then(Value::as_array).into_iter().flatten();
            for name in names.filter_map(Value::as_str) {
                let default = page
                    .get("properties")
                    .and_then(|properties| properties.get(name))
                    .and_then(|property| property.get("default"));
                if default.is_none() {
                    found.insert(name.to_owned());
                }
            }
        }
        found
    }
}
