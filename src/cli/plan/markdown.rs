//! A preview as the comment of a pull request.

use std::fmt::Write as _;

use super::report::{EntityReport, Report, counted};
use super::text::{Line, Sign, conclusion, entity_lines, shown_entities, unchecked_lines};
use crate::template::names::readable;

/// The longest comment, in bytes. GitHub takes 65,536 characters, GitLab more.
const COMMENT: usize = 60_000;

/// The whole preview.
pub fn report(report: &Report, full: bool) -> String {
    let mut text = format!("### Landfall plan\n\n{}\n", conclusion(report));
    if !report.faults.is_empty() {
        let lines: Vec<String> = report
            .faults
            .iter()
            .map(|fault| format!("- {}: {}", readable(&fault.place), readable(&fault.message)))
            .collect();
        section(&mut text, "Faults", &lines, COMMENT / 4);
    }
    let (entities, mut left_out) = shown_entities(report, full);
    for entity in entities {
        let block = block(entity, full);
        if text.len() + block.len() > COMMENT * 3 / 4 {
            left_out += 1;
        } else {
            text.push_str(&block);
        }
    }
    if left_out > 0 {
        let _ = writeln!(
            text,
            "\n{left_out} more {}: `landfall plan` shows all.",
            counted(left_out, "entity", "entities")
        );
    }
    let unchecked = report.all_unchecked();
    if !unchecked.is_empty() {
        let lines = unchecked_lines(&unchecked);
        section(&mut text, "Unchecked", &lines, COMMENT / 4);
    }
    text
}

/// A list of lines in a fence, under a heading, of at most so many bytes.
fn section(text: &mut String, heading: &str, lines: &[String], most: usize) {
    let mut body = String::new();
    let mut shown = 0;
    for line in lines {
        if body.len() + line.len() > most {
            break;
        }
        let _ = writeln!(body, "{line}");
        shown += 1;
    }
    if shown < lines.len() {
        let _ = writeln!(body, "and {} more", lines.len() - shown);
    }
    let fence = fence(&body);
    let _ = write!(text, "\n{heading}:\n\n{fence}\n{body}{fence}\n");
}

fn block(entity: &EntityReport, full: bool) -> String {
    let mut body = String::new();
    let lines = entity_lines(entity, full);
    for line in lines.iter().skip(1) {
        diff(line, &mut body);
    }
    let heading = lines.first().map_or("", |line| line.text.as_str());
    let heading = heading.replace('`', "'");
    if body.is_empty() {
        return format!("\n- `{heading}`\n");
    }
    let fence = fence(&body);
    format!(
        "\n<details open><summary><code>{}</code></summary>\n\n{fence}diff\n{body}{fence}\n\n</details>\n",
        escaped(&heading)
    )
}

/// A line as a diff has it: its first character decides its colour.
fn diff(line: &Line, body: &mut String) {
    let indent = "  ".repeat(line.depth.saturating_sub(1));
    let (sign, text) = match line.sign {
        Sign::Plus => ('+', line.text.clone()),
        Sign::Minus => ('-', line.text.clone()),
        Sign::Change => ('!', line.text.clone()),
        Sign::Replace => ('!', format!("{} (deleted and made anew)", line.text)),
        Sign::Deny => ('-', format!("DENIED {}", line.text)),
        Sign::Wait => ('#', format!("waiting: {}", line.text)),
        Sign::Keep => ('#', format!("kept: {}", line.text)),
        Sign::None => ('#', line.text.clone()),
    };
    let _ = writeln!(body, "{sign} {indent}{text}");
}

/// A fence that is longer than any in `body`.
fn fence(body: &str) -> String {
    let mut longest = 2;
    let mut run = 0;
    for letter in body.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(longest + 1)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plan::files::Finding;
    use crate::controllers::instance::preview::Action;

    #[test]
    fn a_comment_is_bounded_and_says_what_it_leaves_out() {
        let mut found = Report::default();
        for place in 0..2000 {
            let mut entity = EntityReport::of(format!("component:shop/c{place}"), Action::Create);
            entity.message = Some("m".repeat(200));
            found.entities.push(entity);
            found.faults.push(Finding {
                place: format!("f{place}.yaml:1:1"),
                message: "<b>```".repeat(40),
            });
        }
        found.count();
        let text = report(&found, true);
        assert!(text.len() < 65_536, "{}", text.len());
        assert!(text.contains("more entities: `landfall plan` shows all."));
        assert!(text.contains("\nand "), "faults are left out, too");
        assert!(text.contains("\n````\n"), "the fence is longer than what it holds");
    }
}
