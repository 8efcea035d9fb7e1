//! Objects that a CRD's schema allows.

use serde_json::{Map, Value, json};

use super::random::Random;
use crate::support::repository;

/// A kind of ours, as its definition in `crds/` has it.
#[derive(Clone, Debug)]
pub struct Kind {
    pub name: String,
    pub api_version: String,
    /// Objects of it that the examples hold.
    pub examples: Vec<Value>,
    schema: Value,
}

impl Kind {
    /// Whether its objects can be instances.
    pub fn is_provisioned(&self) -> bool {
        self.schema["properties"]["spec"]["properties"]["template"].is_object()
    }
}

/// Every kind that `crds/` defines.
pub fn kinds() -> Vec<Kind> {
    let examples = documents("examples");
    let definitions = documents("crds");
    assert!(definitions.len() >= 3, "crds/ has {} definitions", definitions.len());
    let kind = |definition: &Value| {
        let (spec, version) = (&definition["spec"], &definition["spec"]["versions"][0]);
        let name = spec["names"]["kind"].as_str().unwrap().to_owned();
        let api_version = format!(
            "{}/{}",
            spec["group"].as_str().unwrap(),
            version["name"].as_str().unwrap()
        );
        let of_kind =
            |example: &&Value| example["kind"] == name.as_str() && example["apiVersion"] == api_version.as_str();
        Kind {
            examples: examples.iter().filter(of_kind).cloned().collect(),
            schema: version["schema"]["openAPIV3Schema"].clone(),
            name,
            api_version,
        }
    };
    definitions.iter().map(kind).collect()
}

/// Every YAML document below a directory of the repository, in the order of the files' names.
fn documents(directory: &str) -> Vec<Value> {
    let (mut directories, mut files) = (vec![repository().join(directory)], Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => directories.push(path),
                Some(extension) if extension == "yaml" => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    let read = |file| {
        let text = std::fs::read_to_string(file).unwrap();
        serde_saphyr::from_multiple::<Value>(&text).unwrap()
    };
    files
        .into_iter()
        .flat_map(read)
        .filter(|document| !document.is_null())
        .collect()
}

/// Makes values of a schema.
pub struct Generator<'g> {
    pub random: &'g mut Random,
    /// Refs that lead somewhere, as `kind:name`; what an object may name of another is one of them as often as not.
    pub refs: &'g [String],
}

impl Generator<'_> {
    /// The spec of an object of this kind.
    pub fn spec(&mut self, kind: &Kind) -> Value {
        self.value(&kind.schema["properties"]["spec"], 0)
    }

    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if let Some(values) = schema["enum"].as_array() {
            return self.random.pick(values).clone();
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("string") => json!(self.string(schema)),
            Some("boolean") => json!(self.random.chance(50)),
            Some("integer" | "number") => self.number(schema),
            None if schema["x-kubernetes-int-or-string"] == true => json!("10%"),
            // Untyped: whatever an expression or a person may write there.
            _ => self.anything(3),
        }
    }

    fn number(&mut self, schema: &Value) -> Value {
        let limit = |name: &str| {
            let text = schema[name].as_f64().map(|limit| format!("{limit:.0}"));
            text.and_then(|text| text.parse::<i64>().ok())
        };
        let least = limit("minimum").unwrap_or(0);
        let room = limit("maximum").unwrap_or(least + 100) - least;
        json!(least + i64::try_from(self.random.below(usize::try_from(room).unwrap_or(0) + 1)).unwrap())
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        if let Some(properties) = schema["properties"].as_object() {
            let required: Vec<&str> = schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            for (name, property) in properties {
                if required.contains(&name.as_str()) || self.random.chance(if depth == 0 { 40 } else { 25 }) {
                    object.insert(name.clone(), self.property(name, property, depth));
                }
            }
        } else if schema["additionalProperties"].is_object() {
            for _ in 0..self.random.below(3) {
                let name = (*self.random.pick(&["dev", "prod", "a-b", "x1"])).to_owned();
                object.insert(name, self.value(&schema["additionalProperties"], depth + 1));
            }
        } else {
            for place in 0..self.random.below(3) {
                object.insert(format!("field{place}"), self.anything(2));
            }
        }
        Value::Object(object)
    }

    /// A field. Where the schema leaves open what only a plan can judge, it is mostly something that a plan can be made of.
    fn property(&mut self, name: &str, schema: &Value, depth: usize) -> Value {
        let known = match name {
            "manifest" => vec![
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${{ entity.metadata.name }}"}, "data": {"a": "b"}}),
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${{ entity.metadata.name }}-2"}, "data": {"a": "${{ owner.ref }}"}}),
                json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "${{ template.name }}-${{ entity.metadata.name }}"}, "spec": {"hard": {"pods": "7"}}}),
            ],
            "parameters" if depth > 0 => vec![json!({}), json!({"team": "a"})],
            "parameters" => vec![json!({"properties": {"team": {"type": "string", "default": "none"}}})],
            "readyWhen" => vec![json!("${{ self.data.a == 'b' }}")],
            "if" => vec![json!(true), json!("${{ parameters.team }}")],
            "each" => vec![json!(["a"]), json!({"k": 1})],
            _ => Vec::new(),
        };
        if known.is_empty() || self.random.chance(10) {
            return self.value(schema, depth + 1);
        }
        self.random.pick(&known).clone()
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut items: Vec<Value> = Vec::new();
        let least = schema["minItems"].as_u64().unwrap_or(0);
        for _ in 0..(self.random.below(3) as u64).max(least) {
            let mut item = self.value(&schema["items"], depth + 1);
            if let (Some(key), true) = (keys.first(), !items.is_empty()) {
                let text = item[*key].as_str().unwrap_or_default().to_owned();
                item[*key] = json!(format!("{text}{}", items.len()));
            }
            let same = |other: &Value| {
                keys.iter().all(|key| other[*key] == item[*key]) && (!keys.is_empty() || *other == item)
            };
            if schema["x-kubernetes-list-type"] == "atomic" || !items.iter().any(same) {
                items.push(item);
            }
        }
        Value::Array(items)
    }

    fn string(&mut self, schema: &Value) -> String {
        if let Some(found) = self.reference(schema) {
            return found;
        }
        if let Some(example) = example(schema) {
            return example;
        }
        if schema["format"] == "date-time" {
            return "2026-01-01T00:00:00Z".to_owned();
        }
        let bound = |name: &str, otherwise: usize| {
            schema[name]
                .as_u64()
                .map_or(otherwise, |bound| usize::try_from(bound).unwrap())
        };
        let (least, most) = (bound("minLength", 0), bound("maxLength", 20));
        let length = least + self.random.below(most.min(12).saturating_sub(least) + 1);
        (0..length.max(1))
            .map(|_| char::from(*self.random.pick(b"abcdefgxyz0123")))
            .collect()
    }

    /// A ref to what there is, where the rules say that the field holds a ref of these kinds.
    fn reference(&mut self, schema: &Value) -> Option<String> {
        let rule = rules(schema).find_map(|rule| rule["rule"].as_str()?.split_once("lowerAscii().split(':')[0] in ["));
        let kinds: Vec<&str> = rule?.1.split('\'').skip(1).step_by(2).collect();
        let known: Vec<&String> = self
            .refs
            .iter()
            .filter(|known| known.split(':').next().is_some_and(|kind| kinds.contains(&kind)))
            .collect();
        (!known.is_empty() && self.random.chance(85)).then(|| (*self.random.pick(&known)).clone())
    }

    /// Any JSON, with what has a meaning somewhere in it.
    pub fn anything(&mut self, depth: usize) -> Value {
        match self.random.below(if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.random.chance(50)),
            2 => json!(self.random.below(1000)),
            3 | 4 => {
                let texts = [
                    "",
                    "a",
                    "${{ entity.metadata.name }}",
                    "${{ parameters.team }}",
                    "${{ 1 +",
                    "null",
                    "{{",
                    "%}",
                ];
                json!(self.random.pick(&texts))
            }
            5 => (0..self.random.below(4)).map(|_| self.anything(depth - 1)).collect(),
            _ => {
                let names = ["a", "name", "kind", "apiVersion", "metadata", "$ref", "type"];
                (0..self.random.below(4))
                    .map(|_| ((*self.random.pick(&names)).to_owned(), self.anything(depth - 1)))
                    .collect()
            }
        }
    }
}

fn rules(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten()
}

/// What a rule's message gives as an example of what it takes.
fn example(schema: &Value) -> Option<String> {
    let of = |rule: &Value| {
        let message = rule["messageExpression"]
            .as_str()
            .or_else(|| rule["message"].as_str())?;
        let (_, example) = message.rsplit_once("for example ")?;
        let word = example.split([' ', '\'', '"']).next()?.trim_end_matches([',', ';']);
        (!word.is_empty()).then(|| word.to_owned())
    };
    rules(schema).find_map(of)
}
