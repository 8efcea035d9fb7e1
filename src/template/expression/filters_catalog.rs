//! Backstage's own filters (`plugins/scaffolder-backend/src/lib/templating/filters`): parseRepoUrl,
//! parseEntityRef, pick, projectSlug.

use serde_json::{Map, Value, json};

use super::call::{Call, Signature};
use super::term::{Outcome, Stop};
use crate::catalog::refs;
use crate::template::names::{hint, shown};

pub(super) const FILTERS: &[Signature] = &[
    Signature {
        name: "parseRepoUrl",
        parameters: &[],
        required: 0,
        apply: |call| repository(call).map(Value::Object),
    },
    Signature {
        name: "projectSlug",
        parameters: &[],
        required: 0,
        apply: project_slug,
    },
    Signature {
        name: "parseEntityRef",
        parameters: &["defaults"],
        required: 0,
        apply: parse_entity_ref,
    },
    Signature {
        name: "pick",
        parameters: &["key"],
        required: 1,
        apply: pick,
    },
];

/// `host?owner=o&repo=r` as its parts.
fn repository(call: &Call<'_>) -> Outcome<Map<String, Value>> {
    let text = call.input_text()?;
    let fault = |what: &str| {
        Stop::fault(format!(
            "{}: \"{}\" {what}, expected for example github.com?owner=shop&repo=orders",
            call.name,
            shown(&text, 120)
        ))
    };
    let bare = text.strip_prefix("https://").unwrap_or(&text);
    let (host, query) = bare.split_once('?').ok_or_else(|| fault("has no ?"))?;
    let host = host.trim_end_matches('/');
    if host.is_empty() {
        return Err(fault("has no host"));
    }
    let mut parts = Map::new();
    parts.insert("host".to_owned(), json!(host));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decoded(value).ok_or_else(|| fault("is not percent-encoded text"))?;
        if matches!(name, "owner" | "repo" | "organization" | "workspace" | "project") && !value.is_empty() {
            parts.insert(name.to_owned(), Value::String(value));
        }
    }
    let repository_or_project = parts.contains_key("repo") || parts.contains_key("project");
    if repository_or_project {
        Ok(parts)
    } else {
        Err(fault("has no repo"))
    }
}

/// `owner/repo` of a repository URL.
fn project_slug(call: &Call<'_>) -> Outcome<Value> {
    let parts = repository(call)?;
    let part = |name: &str| {
        parts
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| Stop::fault(format!("projectSlug: the repository URL has no {name}")))
    };
    call.give(format!("{}/{}", part("owner")?, part("repo")?))
}

fn parse_entity_ref(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_text()?;
    let default = |name: &str| {
        call.argument(0, "defaults")
            .and_then(|defaults| defaults.get(name))
            .and_then(Value::as_str)
    };
    let parsed = refs::parse(
        &text,
        default("defaultKind"),
        default("defaultNamespace").unwrap_or("default"),
    )
    .map_err(|error| Stop::fault(shown(&error.to_string(), 400)))?;
    Ok(json!({"kind": parsed.kind, "namespace": parsed.namespace, "name": parsed.name}))
}

fn pick(call: &Call<'_>) -> Outcome<Value> {
    let key = call.text_needed(0, "key")?;
    let Value::Object(map) = call.input else {
        return Err(call.wrong_input("a map"));
    };
    let found = map.get(key).ok_or_else(|| {
        Stop::fault(format!(
            "pick: the map has no field {}{}",
            shown(key, 63),
            hint(key, map.keys().map(String::as_str))
        ))
    })?;
    call.meter.value(found)?;
    Ok(found.clone())
}

/// Undoes percent-encoding, and `+` for a space, as the query part of a URL has them.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}
