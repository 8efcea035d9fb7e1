//! From a value to a text that every reader takes for that value.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;
use serde_saphyr::LitStr;

/// `value` as one YAML document, with `---` before it, that readers of YAML 1.1 and 1.2 take for the same value.
///
/// # Errors
/// When the value has no form in YAML, which no JSON value is.
pub fn write(value: &Value) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(&Written(value), options)?;
    Ok(format!("---\n{text}"))
}

/// A value whose texts of several lines are written as such where all readers agree on what they then are.
struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if is_block(text) => LitStr(text).serialize(serializer),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Written(item))?;
                }
                list.end()
            }
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, field) in fields {
                    map.serialize_entry(key, &Written(field))?;
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// Whether a text reads well in lines of its own, and no reader takes them for another: kubectl's refuses a line that begins
/// with a tab, and readers differ about empty lines at either end, about lines of spaces and about what ends a line.
fn is_block(text: &str) -> bool {
    let plain = |letter: char| {
        letter == '\n'
            || !letter.is_control() && !matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n'])
        && text.chars().all(plain)
        && body
            .lines()
            .all(|line| line.is_empty() || !line.trim_matches(' ').is_empty())
}
