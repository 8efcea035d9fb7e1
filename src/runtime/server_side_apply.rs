//! Server-side apply, with a body that means the same to the apiserver as to us.
//!
//! The apiserver reads the body of an apply as YAML, of which JSON is not quite a part: YAML refuses some characters that
//! JSON lets stand as they are, and takes others for line breaks, which it folds into spaces.

use std::fmt::Write as _;

use http::Request;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, Resource as _};
use serde_json::Value;

/// Applies `body` to the object `name`.
///
/// # Errors
/// What the apiserver says, or why it could not be asked.
pub async fn apply(
    client: &Client,
    kind: &ApiResource,
    namespace: Option<&str>,
    name: &str,
    parameters: &PatchParams,
    body: &Value,
) -> Result<DynamicObject, kube::Error> {
    let requests = kube::core::Request::new(DynamicObject::url_path(kind, namespace));
    let request = requests
        .patch(name, parameters, &Patch::Apply(body))
        .map_err(kube::Error::BuildRequest)?;
    client.request(as_yaml(request)).await
}

fn as_yaml(request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    request.map(|body| match String::from_utf8(body) {
        Ok(text) if text.contains(is_other) => escaped(&text).into_bytes(),
        Ok(text) => text.into_bytes(),
        Err(other) => other.into_bytes(),
    })
}

/// `json` with every character that YAML takes otherwise as an escape, which both read alike. Outside of texts JSON has none.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 64);
    for letter in json.chars() {
        if is_other(letter) {
            let _ = write!(text, "\\u{:04x}", u32::from(letter));
        } else {
            text.push(letter);
        }
    }
    text
}

/// Whether YAML 1.1 does not let a character stand in a text, or takes it for a line break (chapters 5.1 and 5.4 of its
/// specification).
fn is_other(letter: char) -> bool {
    matches!(
        letter,
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_yaml_takes_otherwise_is_escaped() {
        let value = json!({"a\u{2028}": "b\u{85}\u{7f}\u{feff}\"\\ ü 🚀"});
        let text = escaped(&value.to_string());
        assert_eq!(text, "{\"a\\u2028\":\"b\\u0085\\u007f\\ufeff\\\"\\\\ ü 🚀\"}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    proptest! {
        #[test]
        fn it_is_the_same_json(name in any::<String>(), text in any::<String>()) {
            let value = json!({name: [text]});
            let text = escaped(&value.to_string());
            prop_assert!(!text.contains(is_other));
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
