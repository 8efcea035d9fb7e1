//! A preview for people: what would change, line by line.

use std::fmt::Write as _;

use serde_json::Value;

use super::report::{Change, Changes, EntityReport, ObjectReport, Report, counted};
use crate::catalog::yaml;
use crate::controllers::instance::preview::Action;
use crate::template::names::{readable, shown};

/// The most entities that are shown.
const ENTITIES: usize = 50;
/// The most fields of one object that are shown.
const FIELDS: usize = 20;
/// The most characters of one value that are shown.
const VALUE: usize = 80;
/// How much of a long text is shown before the place where it differs.
const BEFORE: usize = 20;

/// One line of a preview.
pub struct Line {
    /// What sort of line it is.
    pub sign: Sign,
    /// How far in it stands.
    pub depth: usize,
    /// What it says.
    pub text: String,
}

/// What is said by a line's first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Something comes.
    Plus,
    /// Something goes.
    Minus,
    /// Something is otherwise.
    Change,
    /// Something is deleted and made anew.
    Replace,
    /// Something stays that is not wanted any more.
    Keep,
    /// Something waits.
    Wait,
    /// Something is refused.
    Deny,
    /// It is only said.
    None,
}

impl Sign {
    /// The sign of an action.
    pub fn of(action: Action) -> Self {
        match action {
            Action::Create | Action::Adopt => Self::Plus,
            Action::Change => Self::Change,
            Action::Replace => Self::Replace,
            Action::Remove => Self::Minus,
            Action::Keep => Self::Keep,
            Action::Wait => Self::Wait,
            Action::Deny => Self::Deny,
            Action::Nothing => Self::None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Change => "~",
            Self::Replace => "-/+",
            Self::Keep => "=",
            Self::Wait => "?",
            Self::Deny => "!",
            Self::None => " ",
        }
    }
}

/// The whole preview.
pub fn report(report: &Report, full: bool) -> String {
    format!("{}{}\n", body(report, full), conclusion(report))
}

/// What is found, entity by entity.
pub fn body(report: &Report, full: bool) -> String {
    let mut text = String::new();
    for fault in &report.faults {
        let _ = writeln!(text, "! {}: {}", readable(&fault.place), readable(&fault.message));
    }
    let (entities, left_out) = shown_entities(report, full);
    for entity in entities {
        if !text.is_empty() {
            text.push('\n');
        }
        for line in entity_lines(entity, full) {
            let indent = "  ".repeat(line.depth);
            let _ = writeln!(text, "{indent}{} {}", line.sign.text(), line.text);
        }
    }
    if left_out > 0 {
        let _ = writeln!(
            text,
            "\n{left_out} more {}; --full shows all",
            counted(left_out, "entity", "entities")
        );
    }
    let unchecked = report.all_unchecked();
    if !unchecked.is_empty() {
        let _ = writeln!(text, "\nunchecked:");
        for line in unchecked_lines(&unchecked) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// The last line.
pub fn conclusion(report: &Report) -> String {
    let line = report.summary.line();
    if report.summary.has_changes() || report.summary.wrong() > 0 {
        line
    } else {
        format!("nothing to do: {line}")
    }
}

/// The entities of which there is something to tell, those that are refused first where not all are shown, and how many are
/// left out.
pub fn shown_entities(report: &Report, full: bool) -> (Vec<&EntityReport>, usize) {
    let mut entities: Vec<&EntityReport> = report.entities.iter().filter(|entity| !entity.is_quiet()).collect();
    if full || entities.len() <= ENTITIES {
        return (entities, 0);
    }
    let is_denied = |entity: &EntityReport| {
        let objects = entity.objects.iter().map(|object| object.action);
        objects.chain([entity.action]).any(|action| action == Action::Deny)
    };
    entities.sort_by_key(|entity| !is_denied(entity));
    let left_out = entities.len() - ENTITIES;
    entities.truncate(ENTITIES);
    (entities, left_out)
}

/// What was not checked, a line each.
pub fn unchecked_lines(unchecked: &[(String, usize)]) -> Vec<String> {
    let line = |(text, count): &(String, usize)| match count {
        0 => readable(text),
        count => format!("{} ({count} {})", readable(text), counted(*count, "object", "objects")),
    };
    unchecked.iter().map(line).collect()
}

/// A version, and the one before it where that is another.
fn from_to(before: Option<&str>, version: &str) -> String {
    match before {
        Some(before) if before != version => format!("{before} → {version}"),
        _ => version.to_owned(),
    }
}

/// The lines of an entity.
pub fn entity_lines(entity: &EntityReport, full: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |sign, depth, text: String| lines.push(Line { sign, depth, text });
    let place = match (&entity.place, &entity.because) {
        (Some(place), _) => format!("  ({})", readable(place)),
        (None, Some(template)) => format!("  (by {template})"),
        (None, None) => String::new(),
    };
    add(Sign::of(entity.action), 0, format!("{}{place}", entity.reference));
    if let Some(message) = &entity.message {
        add(Sign::None, 1, told(entity.reason.as_deref(), message));
    }
    if let Some(template) = &entity.template {
        let version = from_to(template.before.as_deref(), &template.version);
        let mut text = if template.reference == entity.reference {
            format!("version {version}")
        } else {
            format!("{} {version}", template.reference)
        };
        if let Some(account) = &template.account {
            let _ = write!(text, ", as {account}");
        }
        if let Some(instances) = template.instances {
            let _ = write!(text, ", {instances} {}", counted(instances, "instance", "instances"));
        }
        add(Sign::None, 1, text);
        for environment in &template.environments {
            let version = from_to(environment.before.as_deref(), &environment.version);
            add(Sign::None, 1, format!("environment {} {version}", environment.name));
        }
        if !template.order.is_empty() {
            let order = template.order.iter().map(String::as_str);
            let rest = template.before.as_ref() != Some(&template.version);
            let order: Vec<&str> = order.chain(rest.then_some("the rest")).collect();
            add(
                Sign::None,
                1,
                format!("by the template's rollout: {}", order.join(", then ")),
            );
        }
    }
    change_lines(&entity.changes, 1, full, &mut add);
    let mut unchanged = 0;
    for object in &entity.objects {
        if object.action == Action::Nothing && object.message.is_none() {
            unchanged += 1;
        } else {
            object_lines(object, full, &mut add);
        }
    }
    if unchanged > 0 {
        add(
            Sign::None,
            1,
            format!("{unchanged} {} unchanged", counted(unchanged, "object", "objects")),
        );
    }
    lines
}

fn object_lines(object: &ObjectReport, full: bool, add: &mut dyn FnMut(Sign, usize, String)) {
    let taken = if object.action == Action::Adopt {
        ", taken over"
    } else {
        ""
    };
    let text = format!("{}  [{}]{taken}", object.label(), readable(&object.resource));
    add(Sign::of(object.action), 1, text);
    if let Some(message) = &object.message {
        add(Sign::None, 2, told(object.reason.as_deref(), message));
    }
    change_lines(&object.changes, 2, full, add);
    if let Some(body) = object.object.as_ref().filter(|_| full) {
        let body = yaml::write(body).unwrap_or_default();
        for line in body.lines().filter(|line| *line != "---") {
            add(Sign::None, 2, readable(line));
        }
    }
}

fn told(reason: Option<&str>, message: &str) -> String {
    match reason {
        Some(reason) => format!("{reason}: {}", readable(message)),
        None => readable(message),
    }
}

fn change_lines(found: &Changes, depth: usize, full: bool, add: &mut dyn FnMut(Sign, usize, String)) {
    let most = if full { usize::MAX } else { FIELDS };
    for change in found.changes.iter().take(most) {
        let (sign, text) = change_line(change);
        add(sign, depth, text);
    }
    let left_out = found.changes.len().saturating_sub(most) + found.changes_left_out;
    if left_out > 0 {
        add(
            Sign::None,
            depth,
            format!("and {left_out} more {}", counted(left_out, "field", "fields")),
        );
    }
}

fn change_line(change: &Change) -> (Sign, String) {
    let path = &change.path;
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let (before, after) = pair(before, after);
            (Sign::Change, format!("{path}: {before} → {after}"))
        }
        (Some(before), None) => (Sign::Minus, format!("{path}: {}", value(before))),
        (None, Some(after)) => (Sign::Plus, format!("{path}: {}", value(after))),
        (None, None) => (Sign::None, path.clone()),
    }
}

/// A value in one line, as far as there is room for it.
pub fn value(value: &Value) -> String {
    shown(&value.to_string(), VALUE)
}

/// Two values in one line. Of long texts that begin alike, from shortly before the place where they differ.
pub fn pair(before: &Value, after: &Value) -> (String, String) {
    let (Value::String(old), Value::String(new)) = (before, after) else {
        return (value(before), value(after));
    };
    let alike = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    if old.chars().count().max(new.chars().count()) <= VALUE || alike <= BEFORE {
        return (value(before), value(after));
    }
    let from = |text: &str| {
        let rest: String = text.chars().skip(alike - BEFORE).collect();
        format!("…{}", value(&Value::String(rest)))
    };
    (from(old), from(new))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_texts_are_shown_from_where_they_differ() {
        let long = "x".repeat(300);
        let (before, after) = pair(&json!(format!("{long}one")), &json!(format!("{long}two")));
        assert_eq!(before, format!("…\"{}one\"", "x".repeat(BEFORE)));
        assert_eq!(after, format!("…\"{}two\"", "x".repeat(BEFORE)));
        assert_eq!(pair(&json!(1), &json!("1")), ("1".to_owned(), "\"1\"".to_owned()));
    }

    #[test]
    fn what_is_more_than_is_shown_is_counted_and_what_is_refused_is_shown() {
        let mut found = Report::default();
        for place in 0..ENTITIES + 5 {
            let action = if place == ENTITIES + 4 {
                Action::Deny
            } else {
                Action::Create
            };
            found
                .entities
                .push(EntityReport::of(format!("component:shop/c{place}"), action));
        }
        found.count();
        let told = report(&found, false);
        assert!(told.contains("\n5 more entities; --full shows all\n"), "{told}");
        assert!(
            told.starts_with(&format!("! component:shop/c{}\n", ENTITIES + 4)),
            "{told}"
        );
        assert!(!report(&found, true).contains("--full"));
    }
}
