//! What is said to a write, and how much of it.

use std::fmt::Write as _;

use kube::core::Status;
use kube::core::response::{StatusCause, StatusDetails, StatusSummary};

use crate::api::GROUP;
use crate::api::reasons::Reason;
use crate::controllers::wakes::Key;
use crate::template::fault::Fault;
use crate::template::names::{count, readable};

/// The most bytes that a refusal has.
const REFUSAL: usize = 25 * 1024;
/// The most bytes of it in which faults are told in full, where not all can be; of the rest only the field is named.
const IN_FULL: usize = 6 * 1024;
/// The most bytes of one fault.
const FAULT: usize = 1024;
/// The bytes around a fault in a list.
const AROUND: usize = 5;
/// The most bytes of the name of a field.
const FIELD: usize = 160;
/// The most warnings to one write, and the most bytes of one: the apiserver passes on 4096 characters in all.
const WARNINGS: usize = 8;
const WARNING: usize = 500;

/// What is said to a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is refused, if it is.
    pub refusal: Option<Refusal>,
    /// What is to be known though it may be admitted.
    pub warnings: Vec<String>,
}

/// Why a write is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Everything that is wrong, at least one thing.
    pub faults: Vec<Fault>,
}

impl Verdict {
    /// It is refused for one thing that concerns all of it.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        let fault = Fault {
            reason,
            resource: None,
            field: String::new(),
            message: message.into(),
        };
        Self {
            refusal: Some(Refusal { faults: vec![fault] }),
            warnings: Vec::new(),
        }
    }

    /// It is admitted with a warning.
    pub fn warned(message: impl Into<String>) -> Self {
        Self {
            refusal: None,
            warnings: vec![message.into()],
        }
    }

    /// The word for metrics.
    pub fn word(&self) -> &'static str {
        match (&self.refusal, self.warnings.is_empty()) {
            (Some(_), _) => "refused",
            (None, false) => "warned",
            (None, true) => "allowed",
        }
    }

    /// The warnings, as many and as long as the apiserver passes on.
    pub fn bounded_warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .warnings
            .iter()
            .take(WARNINGS)
            .map(|warning| cut(&readable(warning), WARNING))
            .collect();
        let left_out = self.warnings.len().saturating_sub(WARNINGS);
        if left_out > 0 {
            warnings.pop();
            warnings.push(format!("and {}", count(left_out + 1, "more warning")));
        }
        warnings
    }
}

impl Refusal {
    /// What the apiserver passes on: for a person as a text, for programs a cause by field. Each fault is named in both, as far as
    /// their bounds go.
    pub fn status(&self, key: &Key) -> Status {
        let told = self.told();
        let forbidden = self.faults.iter().all(|fault| fault.reason == Reason::NotAllowed);
        let (code, reason) = if forbidden {
            (403, "Forbidden")
        } else {
            (422, "Invalid")
        };
        let causes = told.iter().map(|one| StatusCause {
            reason: one.reason.as_str().to_owned(),
            message: one.message.clone(),
            field: one.field.clone(),
        });
        Status {
            status: Some(StatusSummary::Failure),
            code,
            reason: reason.to_owned(),
            message: self.text(&told),
            metadata: None,
            details: Some(StatusDetails {
                name: key.name.clone(),
                group: GROUP.to_owned(),
                kind: key.kind.kind().to_owned(),
                causes: causes.collect(),
                uid: String::new(),
                retry_after_seconds: 0,
            }),
        }
    }

    /// One fault as it is, several as a list.
    fn text(&self, told: &[Told]) -> String {
        let lines: Vec<String> = told
            .iter()
            .map(|one| match one.field.as_str() {
                "" => one.message.clone(),
                field => format!("{field}: {}", one.message),
            })
            .collect();
        if let ([line], 1) = (lines.as_slice(), self.faults.len()) {
            return line.clone();
        }
        let mut text = format!("{}:", count(self.faults.len(), "fault"));
        for line in &lines {
            text.push_str("\n- ");
            text.push_str(line);
        }
        let left_out = self.faults.len().saturating_sub(told.len());
        if left_out > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n- and {left_out} more");
        }
        text
    }

    fn told(&self) -> Vec<Told> {
        let whole: Vec<(&Fault, String, String)> = self
            .faults
            .iter()
            .map(|fault| (fault, cut(&field(fault), FIELD), cut(&readable(&fault.message), FAULT)))
            .collect();
        let size = |field: &str, message: &str| field.len() + message.len() + AROUND;
        let total: usize = whole.iter().map(|(_, field, message)| size(field, message)).sum();
        let mut full = if total <= REFUSAL { REFUSAL } else { IN_FULL };
        let (mut told, mut room) = (Vec::new(), REFUSAL);
        for (fault, field, message) in whole {
            let message = if let Some(left) = full.checked_sub(size(&field, &message)) {
                full = left;
                message
            } else {
                full = 0;
                "is wrong too".to_owned()
            };
            let Some(left) = room.checked_sub(size(&field, &message)) else {
                break;
            };
            room = left;
            told.push(Told {
                reason: fault.reason,
                field,
                message,
            });
        }
        told
    }
}

/// A fault as it is told.
struct Told {
    reason: Reason,
    field: String,
    message: String,
}

/// Where a fault is, from the top of the file.
fn field(fault: &Fault) -> String {
    match (fault.reason, fault.field.as_str()) {
        (_, "") => String::new(),
        (Reason::InvalidParameters, field) => format!("spec.template.{field}"),
        (_, field) => field.to_owned(),
    }
}

fn cut(text: &str, limit: usize) -> String {
    crate::api::conditions::bounded(text, limit)
}
