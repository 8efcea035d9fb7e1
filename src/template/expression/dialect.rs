//! The dialect of Backstage's templates, turned into what minijinja's parser reads.
//!
//! `===`, `!==`, `&&`, `||` and `!` become their Jinja counterparts. A `!` binds as tightly as a minus sign,
//! which Jinja's `not` does not: it is handed over as a minus sign whose place is remembered.

use super::term::{Outcome, Stop};
use crate::template::names::shown;

/// The most bytes of one expression's text.
const MAX_TEXT: usize = 16 * 1024;
/// The most words and signs in one expression: bounds the depth of the parser's tree, whose operators nest to the left.
const MAX_TOKENS: usize = 600;
/// The deepest nesting of brackets. The parser recurses through a dozen functions for each.
const MAX_NESTING: usize = 24;

/// An expression's text in Jinja's dialect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Jinja {
    /// The text.
    pub(crate) text: String,
    /// The places in it where a minus sign stands for `!`.
    pub(crate) negations: Vec<usize>,
}

/// Rewrites `source`.
///
/// # Errors
/// When it is too long, nested too deeply, or has a sign that neither dialect knows.
pub(crate) fn jinja(source: &str) -> Outcome<Jinja> {
    if source.len() > MAX_TEXT {
        return Err(Stop::fault(format!(
            "the expression has {} bytes, expected at most {MAX_TEXT}",
            source.len()
        )));
    }
    let mut rewriter = Rewriter {
        rest: source,
        output: Jinja {
            text: String::with_capacity(source.len()),
            negations: Vec::new(),
        },
        tokens: 0,
        nesting: 0,
    };
    while rewriter.step()? {}
    Ok(rewriter.output)
}

struct Rewriter<'a> {
    rest: &'a str,
    output: Jinja,
    tokens: usize,
    nesting: usize,
}

impl Rewriter<'_> {
    fn step(&mut self) -> Outcome<bool> {
        let Some(letter) = self.rest.chars().next() else {
            return Ok(false);
        };
        if letter.is_whitespace() {
            self.copy(letter.len_utf8());
            return Ok(true);
        }
        self.count()?;
        match letter {
            '"' | '\'' => self.string(letter)?,
            '(' | '[' | '{' => {
                self.nesting += 1;
                if self.nesting > MAX_NESTING {
                    return Err(Stop::fault(format!("brackets are nested more than {MAX_NESTING} deep")));
                }
                self.copy(1);
            }
            ')' | ']' | '}' => {
                self.nesting = self.nesting.saturating_sub(1);
                self.copy(1);
            }
            _ if letter == '_' || letter.is_alphanumeric() => {
                let word = self
                    .rest
                    .find(|next: char| next != '_' && !next.is_alphanumeric())
                    .unwrap_or(self.rest.len());
                self.copy(word);
            }
            _ => self.sign(letter)?,
        }
        Ok(true)
    }

    fn sign(&mut self, letter: char) -> Outcome<()> {
        for (found, replacement) in [("===", "=="), ("!==", "!="), ("&&", " and "), ("||", " or ")] {
            if self.rest.starts_with(found) {
                self.output.text.push_str(replacement);
                self.skip(found.len());
                return Ok(());
            }
        }
        let two: String = self.rest.chars().take(2).collect();
        match (letter, two.as_str()) {
            (_, "!=" | "==" | "<=" | ">=" | "**" | "//") => self.copy(2),
            ('!', _) => {
                self.output.negations.push(self.output.text.len());
                self.output.text.push('-');
                self.skip(1);
            }
            ('?', _) => {
                return Err(Stop::fault(
                    "\"?\" is not supported; write a if condition else b, or x | default(y)",
                ));
            }
            ('&', _) => return Err(Stop::fault("found a single \"&\", expected \"&&\" or and")),
            ('`', _) => return Err(Stop::fault("found a back quote, expected ' or \" around a text")),
            (';' | '#' | '$' | '@' | '^' | '\\', _) => {
                return Err(Stop::fault(format!(
                    "found \"{letter}\", which has no meaning in an expression"
                )));
            }
            _ => self.copy(letter.len_utf8()),
        }
        Ok(())
    }

    /// Copies a quoted text with its quotes.
    fn string(&mut self, quote: char) -> Outcome<()> {
        let mut escaped = false;
        for (place, letter) in self.rest.char_indices().skip(1) {
            if escaped {
                escaped = false;
            } else if letter == '\\' {
                escaped = true;
            } else if letter == quote {
                self.copy(place + 1);
                return Ok(());
            }
        }
        Err(Stop::fault(format!(
            "the text {} has no closing {quote}",
            shown(self.rest, 40)
        )))
    }

    fn count(&mut self) -> Outcome<()> {
        self.tokens += 1;
        if self.tokens > MAX_TOKENS {
            return Err(Stop::fault(format!(
                "the expression has more than {MAX_TOKENS} words and signs; make it smaller"
            )));
        }
        Ok(())
    }

    fn copy(&mut self, bytes: usize) {
        let (word, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.output.text.push_str(word);
        self.rest = rest;
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> String {
        jinja(source).unwrap().text
    }

    #[test]
    fn javascript_operators_become_jinja() {
        assert_eq!(text("a === 'x' && b!==c||d"), "a == 'x'  and  b!=c or d");
        assert_eq!(
            jinja("!a").unwrap(),
            Jinja {
                text: "-a".to_owned(),
                negations: vec![0]
            }
        );
        assert_eq!(text("a != b | f"), "a != b | f");
    }

    #[test]
    fn texts_stay_as_they_are() {
        assert_eq!(text(r#"'a && b' ~ "x\" || !""#), r#"'a && b' ~ "x\" || !""#);
    }

    #[test]
    fn what_is_too_much_is_refused() {
        assert!(jinja(&"(".repeat(100)).is_err());
        assert!(jinja(&"not ".repeat(1000)).is_err());
        assert!(jinja(&"a".repeat(17_000)).is_err());
        assert!(matches!(jinja("a ? b : c"), Err(Stop::Fault(text)) if text.contains("a if condition else b")));
        assert!(jinja("'abc").is_err());
    }
}
