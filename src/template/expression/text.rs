//! Strings with expressions in them.

use serde_json::Value;

use super::evaluate::Evaluator;
use super::operators;
use super::syntax::{self, Expression};
use super::term::{Outcome, Stop, Term, Undefined};
use crate::template::names::shown;

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// A string that holds at least one expression.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    /// The string is exactly one expression, and has its value, of whatever type.
    Whole(Expression),
    /// Expressions between other text; the result is a string.
    Mixed(Vec<Part>),
}

/// A part of a string.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// As it stands.
    Plain(String),
    /// An expression, and how it is written.
    Expression(Expression, String),
}

impl Text {
    /// Reads a string; `Err` of the plain text where it holds no expression.
    ///
    /// # Errors
    /// When an expression in it cannot be read.
    pub(crate) fn parse(source: &str) -> Outcome<Result<Self, String>> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = source;
        while let Some(place) = next_mark(rest) {
            let (before, marked) = rest.split_at_checked(place).unwrap_or((rest, ""));
            plain.push_str(before);
            if marked.starts_with(OPEN) {
                let (inner, behind) = expression_of(marked)?;
                let (inner, trim_before, trim_behind) = trims(inner);
                if trim_before {
                    plain.truncate(plain.trim_end().len());
                }
                if !plain.is_empty() {
                    parts.push(Part::Plain(std::mem::take(&mut plain)));
                }
                parts.push(Part::Expression(syntax::parse(inner)?, shown(inner.trim(), 80)));
                rest = if trim_behind { behind.trim_start() } else { behind };
            } else {
                let (raw, behind) = raw_block(marked)?;
                plain.push_str(raw);
                rest = behind;
            }
        }
        plain.push_str(rest);
        if parts.is_empty() {
            return Ok(Err(plain));
        }
        if !plain.is_empty() {
            parts.push(Part::Plain(plain));
        }
        match <[Part; 1]>::try_from(parts) {
            Ok([Part::Expression(expression, _)]) => Ok(Ok(Self::Whole(expression))),
            Ok([plain]) => Ok(Ok(Self::Mixed(vec![plain]))),
            Err(parts) => Ok(Ok(Self::Mixed(parts))),
        }
    }

    /// The expressions.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let (whole, parts) = match self {
            Self::Whole(expression) => (Some(expression), [].as_slice()),
            Self::Mixed(parts) => (None, parts.as_slice()),
        };
        whole.into_iter().chain(parts.iter().filter_map(|part| match part {
            Part::Expression(expression, _) => Some(expression),
            Part::Plain(_) => None,
        }))
    }

    /// The value; none where the whole of it is something that was not given.
    pub(crate) fn value<'a>(&'a self, evaluator: &Evaluator<'a>) -> Outcome<Option<Value>> {
        match self {
            Self::Whole(expression) => {
                evaluator.meter.begin();
                match evaluator.term(expression)? {
                    Term::Undefined(Undefined::Absent(_)) => Ok(None),
                    term => {
                        let value = evaluator.needed(term)?;
                        evaluator.meter.value(&value)?;
                        Ok(Some(value.into_owned()))
                    }
                }
            }
            Self::Mixed(parts) => mixed(parts, evaluator).map(|text| Some(Value::String(text))),
        }
    }
}

fn mixed<'a>(parts: &'a [Part], evaluator: &Evaluator<'a>) -> Outcome<String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Plain(plain) => text.push_str(plain),
            Part::Expression(expression, source) => {
                evaluator.meter.begin();
                match evaluator.term(expression)? {
                    // A choice without an else, as in `${{ '-x' if flag }}`.
                    Term::Undefined(Undefined::Absent(path)) if path.is_empty() => {}
                    term => {
                        let value = evaluator.needed(term)?;
                        text.push_str(&operators::text(&value).map_err(|stop| match stop {
                            Stop::Fault(message) => Stop::Fault(format!("`{source}`: {message}")),
                            waiting @ Stop::Waiting(_) => waiting,
                        })?);
                    }
                }
            }
        }
        evaluator.meter.begin();
        evaluator.meter.text(text.len())?;
    }
    Ok(text)
}

/// The place of the next `${{` or `{%`. One pass, so that a text full of marks is read in linear time.
fn next_mark(text: &str) -> Option<usize> {
    text.match_indices('{').find_map(|(place, _)| {
        let behind = text.get(place + 1..)?;
        if behind.starts_with('%') {
            return Some(place);
        }
        let dollar = place.checked_sub(1)?;
        (behind.starts_with('{') && text.get(dollar..place) == Some("$")).then_some(dollar)
    })
}

/// What stands between `${{` and its `}}`, and what follows. Braces and quoted texts inside are skipped.
fn expression_of(marked: &str) -> Outcome<(&str, &str)> {
    let inner = marked.get(OPEN.len()..).unwrap_or_default();
    let mut quote = None;
    let mut escaped = false;
    let mut depth = 0_usize;
    for (place, letter) in inner.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '{') => depth += 1,
            (None, '}') if depth > 0 => depth -= 1,
            (None, '}') if inner.get(place..).is_some_and(|rest| rest.starts_with(CLOSE)) => {
                return Ok((
                    inner.get(..place).unwrap_or_default(),
                    inner.get(place + CLOSE.len()..).unwrap_or_default(),
                ));
            }
            _ => {}
        }
    }
    Err(Stop::fault(format!("`{}` has no closing }}}}", shown(marked, 60))))
}

/// Jinja's `${{-` and `-}}`, which take the white space around with them.
fn trims(inner: &str) -> (&str, bool, bool) {
    let before = inner.strip_prefix('-');
    let inner = before.unwrap_or(inner);
    let behind = inner.strip_suffix('-');
    (behind.unwrap_or(inner), before.is_some(), behind.is_some())
}

/// What stands between `{% raw %}` and `{% endraw %}`, and what follows.
fn raw_block(marked: &str) -> Outcome<(&str, &str)> {
    fn tag<'t>(text: &'t str, name: &str) -> Option<&'t str> {
        let inner = text.strip_prefix("{%")?;
        let inner = inner
            .strip_prefix('-')
            .unwrap_or(inner)
            .trim_start()
            .strip_prefix(name)?
            .trim_start();
        inner.strip_prefix('-').unwrap_or(inner).strip_prefix("%}")
    }
    let Some(body) = tag(marked, "raw") else {
        return Err(Stop::fault(format!(
            "block tags such as `{}` are not supported in a template's strings; write ${{{{ a if condition else b }}}}, or ${{{{ '{{%' }}}} for the text itself",
            shown(marked.split_inclusive("%}").next().unwrap_or(marked), 40)
        )));
    };
    let mut from = 0;
    while let Some(place) = body.get(from..).and_then(|rest| rest.find("{%")) {
        let place = from + place;
        if let Some(behind) = body.get(place..).and_then(|rest| tag(rest, "endraw")) {
            return Ok((body.get(..place).unwrap_or_default(), behind));
        }
        from = place + 2;
    }
    Err(Stop::fault("`{% raw %}` has no closing `{% endraw %}`"))
}
