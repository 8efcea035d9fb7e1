//! The values with what `values.yaml` says of each: the one source of the schema's descriptions and of the README's table.

use std::fs;

use serde_json::Value;

use crate::helm::chart;

/// A value, or a part of the values that is given as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Documented {
    /// Example: `["controller", "replicas"]`.
    pub path: Vec<String>,
    /// What the comment above it says.
    pub text: String,
    pub default: Value,
}

impl Documented {
    /// Example: `controller.replicas`.
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

/// `values.yaml`, as the chart's users have it.
pub fn source() -> String {
    fs::read_to_string(chart().join("values.yaml")).unwrap()
}

/// The values without their comments.
pub fn defaults() -> Value {
    serde_saphyr::from_str(&source()).unwrap()
}

/// Every value that has a comment, in the order of the file.
pub fn documented() -> Vec<Documented> {
    let (source, defaults) = (source(), defaults());
    let (mut found, mut path, mut comment) = (Vec::new(), Vec::<String>::new(), Vec::new());
    for line in source.lines() {
        let text = line.trim_start();
        if let Some(words) = text.strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        let said = std::mem::take(&mut comment).join(" ");
        let Some((key, _)) = text.split_once(':') else {
            assert!(
                text.is_empty() && said.is_empty(),
                "neither a key nor a comment: {line}"
            );
            continue;
        };
        path.truncate((line.len() - text.len()) / 2);
        path.push(key.to_owned());
        if !said.is_empty() {
            let default = path.iter().fold(&defaults, |value, key| &value[key.as_str()]).clone();
            found.push(Documented {
                path: path.clone(),
                text: said,
                default,
            });
        }
    }
    found
}

/// The keys of the defaults that no comment speaks of.
pub fn undocumented() -> Vec<String> {
    fn walk(value: &Value, path: &[String], known: &[Documented], missing: &mut Vec<String>) {
        if known.iter().any(|one| one.path == path) {
            return;
        }
        match value {
            Value::Object(values) if !values.is_empty() => {
                for (key, value) in values {
                    walk(value, &[path, std::slice::from_ref(key)].concat(), known, missing);
                }
            }
            _ => missing.push(path.join(".")),
        }
    }
    let mut missing = Vec::new();
    walk(&defaults(), &[], &documented(), &mut missing);
    missing
}

/// The part of the schema that is for a value.
pub fn schema_of<'s>(schema: &'s mut Value, path: &[String]) -> Option<&'s mut Value> {
    path.iter().try_fold(schema, |schema, key| {
        schema.get_mut("properties")?.get_mut(key.as_str())
    })
}
