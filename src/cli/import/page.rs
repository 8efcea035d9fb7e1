//! One answer of a catalog, taken apart so that an entity that cannot be read costs no other one.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::catalog::conversion::DEFAULT_NAMESPACE;
use crate::catalog::refs::EntityRef;

/// The levels that an entity may have and be parsed at all; how many may be imported is for the limits of documents to say.
const LEVELS: usize = 127;

/// One page of the answer.
pub struct Page {
    /// The entities.
    pub items: Vec<Item>,
    /// What the next page is asked for with; none at the end.
    pub next: Option<String>,
    /// How many entities the whole answer has, where it says so.
    pub total: Option<usize>,
}

/// An entity, or what is known of one that cannot be read.
pub struct Item {
    /// What it is called, as far as can be told.
    pub origin: String,
    /// The entity, or why it cannot be read.
    pub entity: Result<Value, String>,
    /// What was read otherwise than it is written.
    pub note: Option<String>,
}

/// The shape of a page, in which no entity is looked into.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    items: Vec<IgnoredAny>,
    #[serde(default)]
    page_info: PageInfo,
    total_items: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    next_cursor: Option<String>,
}

/// What an entity is called, whatever else is in it.
#[derive(Default, Deserialize)]
struct Called {
    kind: Option<String>,
    #[serde(default)]
    metadata: CalledMetadata,
}

#[derive(Default, Deserialize)]
struct CalledMetadata {
    name: Option<String>,
    namespace: Option<String>,
}

impl Page {
    /// Takes an answer apart.
    ///
    /// # Errors
    /// When it is not JSON, or not a page.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let shape: Shape = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let items = items(bytes);
        // A key that is written with escapes is not found; no JSON.stringify writes one.
        if items.len() != shape.items.len() {
            return Err("its items cannot be told apart".to_owned());
        }
        Ok(Self {
            items: items.into_iter().map(Item::read).collect(),
            next: shape.page_info.next_cursor,
            total: shape.total_items,
        })
    }
}

impl Item {
    fn read(text: &[u8]) -> Self {
        let (repaired, count) = without_lone_surrogates(text);
        let called: Called = serde_json::from_slice(&repaired).unwrap_or_default();
        let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
        let origin = EntityRef::new(
            &or_unknown(called.kind),
            called.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE),
            &or_unknown(called.metadata.name),
        );
        let entity = if levels(&repaired) > LEVELS {
            Err(format!(
                "values are nested more than {LEVELS} deep, and so it cannot be read"
            ))
        } else {
            serde_json::from_slice(&repaired)
                .map_err(|error| format!("it cannot be read: {error} of the entity; correct it where it is registered"))
        };
        Self {
            origin: origin.to_string(),
            entity,
            note: (count > 0).then(|| {
                format!("{count} halves of characters (UTF-16 surrogates) stand alone in its texts and are read as U+FFFD; correct them where it is registered")
            }),
        }
    }
}

/// What stands where in a JSON text, as far as its strings and brackets tell.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

/// A part of a JSON text that says how it is built, and where it ends.
enum Part {
    Open,
    Close,
    Comma,
    /// A string, quotes and all, from here.
    Text(usize),
}

impl Iterator for Scan<'_> {
    type Item = (Part, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let begin = self.at;
            self.at += 1;
            match self.text.get(begin)? {
                b'"' => {
                    while let Some(byte) = self.text.get(self.at) {
                        self.at += if *byte == b'\\' { 2 } else { 1 };
                        if *byte == b'"' {
                            break;
                        }
                    }
                    return Some((Part::Text(begin), self.at));
                }
                b'{' | b'[' => {
                    self.depth += 1;
                    return Some((Part::Open, self.at));
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    return Some((Part::Close, begin));
                }
                b',' => return Some((Part::Comma, begin)),
                _ => {}
            }
        }
    }
}

fn scan(text: &[u8]) -> Scan<'_> {
    Scan { text, at: 0, depth: 0 }
}

/// The texts of the entities of a page, which is known to be JSON.
fn items(page: &[u8]) -> Vec<&[u8]> {
    let mut scan = scan(page);
    let (mut key, mut begin, mut found) = (false, None, Vec::new());
    while let Some((part, end)) = scan.next() {
        match (part, scan.depth, begin) {
            (Part::Text(from), 1, _) => key = page.get(from..end) == Some(b"\"items\""),
            (Part::Open, 2, _) if key => begin = Some(end),
            (Part::Close, 1, Some(from)) | (Part::Comma, 2, Some(from)) => {
                let item = page.get(from..end).unwrap_or_default().trim_ascii();
                found.extend((!item.is_empty()).then_some(item));
                begin = (scan.depth == 2).then_some(end + 1);
            }
            (Part::Comma, 1, _) => key = false,
            _ => {}
        }
    }
    found
}

/// How deep the values of a JSON text are nested.
fn levels(text: &[u8]) -> usize {
    let (mut scan, mut most) = (scan(text), 0);
    while scan.next().is_some() {
        most = most.max(scan.depth);
    }
    most
}

/// A JSON text in which a half of a surrogate pair that stands alone, as `JSON.stringify` writes a text that was cut within a character, is
/// U+FFFD; and how many there were.
fn without_lone_surrogates(text: &[u8]) -> (Vec<u8>, usize) {
    let (mut repaired, mut count, mut rest) = (Vec::with_capacity(text.len()), 0, text);
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (before, escape) = rest.split_at(at);
        repaired.extend_from_slice(before);
        let taken = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                repaired.extend_from_slice(b"\\ufffd");
                count += 1;
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            _ => 2,
        };
        let (escape, behind) = escape.split_at(taken.min(escape.len()));
        repaired.extend_from_slice(escape);
        rest = behind;
    }
    repaired.extend_from_slice(rest);
    (repaired, count)
}

/// The UTF-16 unit that an escape stands for that `text` begins with.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(text.strip_prefix(b"\\u")?.get(..4)?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn an_item_that_cannot_be_read_is_named_and_costs_no_other() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let page = format!(
            r#"{{"x": {{"items": [1]}}, "items": [ {{"kind": "A", "metadata": {{"name": "cut", "d": "\ud800 x \ude00\\ud800 \ud83d\ude00"}}}},
            {{"kind": "B", "metadata": {{"name": "far", "n": 1e999}}}}, {{"spec": {deep}, "metadata": {{"name": "deep", "namespace": "n"}}, "kind": "C"}}, {{"a": "]}}, \"items\": ["}}, 7 ],
            "totalItems": 9, "pageInfo": {{"nextCursor": "c"}}}}"#
        );
        let page = Page::read(page.as_bytes()).unwrap();
        assert_eq!((page.next.as_deref(), page.total), (Some("c"), Some(9)));
        let origins: Vec<&str> = page.items.iter().map(|item| item.origin.as_str()).collect();
        assert_eq!(
            origins,
            [
                "a:default/cut",
                "b:default/far",
                "c:n/deep",
                "?:default/?",
                "?:default/?"
            ]
        );
        let cut = page.items[0].entity.as_ref().unwrap();
        assert_eq!(cut["metadata"]["d"], "\u{fffd} x \u{fffd}\\ud800 \u{1f600}");
        assert!(page.items[0].note.as_ref().unwrap().starts_with("2 halves"));
        assert!(
            page.items[1]
                .entity
                .as_ref()
                .unwrap_err()
                .contains("number out of range")
        );
        assert!(
            page.items[2]
                .entity
                .as_ref()
                .unwrap_err()
                .contains("more than 127 deep")
        );
        assert_eq!(
            page.items[3].entity.as_ref().unwrap(),
            &json!({"a": "]}, \"items\": ["})
        );
        for none in ["", "[]", "{}", "{\"items\": 1}", "{\"items\": [1,]}", "{\"items\": [}"] {
            assert!(Page::read(none.as_bytes()).is_err(), "{none}");
        }
        assert_eq!(Page::read(b"{\"items\": [ ]}").unwrap().items.len(), 0);
    }

    proptest! {
        #[test]
        fn items_are_what_json_says(items in prop::collection::vec(crate::catalog::yaml::tests::any_value(), 0..5), pretty: bool) {
            let page = json!({"items": items, "a": items, "z": {"items": items}});
            let text = if pretty { format!("{page:#}") } else { page.to_string() };
            let page = Page::read(text.as_bytes()).unwrap();
            let read: Vec<_> = page.items.into_iter().map(|item| item.entity.unwrap()).collect();
            prop_assert_eq!(read, items);
        }
    }
}
