//! Nothing that someone stores is nested too deeply to be read.
//!
//! `serde_json` refuses what is nested more than 128 deep, while the apiserver stores ten thousand levels. Without this, one
//! such object would make every list that it is in unreadable, and with it all the others. What is nested deeper than
//! [`LIMIT`] is null here; whoever uses a value says how deep it may be, which is less.

use axum::body::{Bytes, HttpBody};
use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;

/// The deepest nesting of lists and maps that is let through.
pub const LIMIT: usize = 120;

/// `response` with a body in which nothing is nested deeper than [`LIMIT`], if it is JSON.
pub fn limited<B: HttpBody<Data = Bytes>>(
    response: Response<B>,
) -> Response<impl HttpBody<Data = Bytes, Error = B::Error>> {
    let content = response.headers().get(CONTENT_TYPE);
    let is_json = content.is_some_and(|content| content.as_bytes().starts_with(b"application/json"));
    let mut limit = DepthLimit::default();
    response
        .map(|body| body.map_frame(move |frame| frame.map_data(|data| if is_json { limit.pass(data) } else { data })))
}

/// A JSON text in which nothing is nested deeper than [`LIMIT`].
pub fn cut(text: Bytes) -> Bytes {
    DepthLimit::default().pass(text)
}

/// Where in a JSON text, or in several one after another, the next byte stands.
#[derive(Debug, Default)]
struct DepthLimit {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl DepthLimit {
    /// The next part of the text, with null in place of what is nested too deeply.
    fn pass(&mut self, part: Bytes) -> Bytes {
        // Made only for a part from which something is left out, which is next to none.
        let mut kept: Option<Vec<u8>> = (self.depth > LIMIT).then(Vec::new);
        for (place, byte) in part.iter().enumerate() {
            let before = self.depth;
            self.step(*byte);
            if before <= LIMIT && self.depth > LIMIT {
                let kept = kept.get_or_insert_with(|| part.get(..place).unwrap_or_default().to_vec());
                kept.extend_from_slice(b"null");
            } else if before <= LIMIT
                && let Some(kept) = &mut kept
            {
                kept.push(*byte);
            }
        }
        kept.map_or(part, Bytes::from)
    }

    fn step(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            _ if self.in_text => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// `text` passed in parts of `size` bytes.
    fn passed(text: &str, size: usize) -> String {
        let mut limit = DepthLimit::default();
        let parts = text
            .as_bytes()
            .chunks(size)
            .map(|part| limit.pass(Bytes::copy_from_slice(part)));
        String::from_utf8(parts.collect::<Vec<_>>().concat()).unwrap()
    }

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[{\"a\":".repeat(depth / 2), "}]".repeat(depth / 2))
    }

    #[test]
    fn what_is_too_deep_is_null_and_what_stands_beside_it_stays() {
        for depth in [122, 1000, 10_000] {
            let text = format!(
                "{{\"deep\": {}, \"beside\": [\"{{[\\\"\", 1]}}\n{{\"next\": 2}}\n",
                nested(depth)
            );
            for size in [1, 7, 100, 1_000_000] {
                let text = passed(&text, size);
                let documents: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                assert_eq!(documents[0]["beside"], json!(["{[\"", 1]));
                assert_eq!(documents[1], json!({"next": 2}));
            }
        }
    }

    #[test]
    fn what_is_not_too_deep_is_not_touched() {
        let text = nested(LIMIT);
        assert_eq!(passed(&text, 3), text);
    }

    proptest! {
        #[test]
        fn any_text_that_is_shallow_stays_as_it_is(text in any::<String>(), size in 1_usize..9) {
            let document = json!({text.clone(): [text]}).to_string();
            prop_assert_eq!(passed(&document, size), document);
        }
    }
}
