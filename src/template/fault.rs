//! What is wrong with a template or with an instance of one.

use std::fmt;

use crate::api::reasons::Reason;

/// One fault: where it is, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The reason word.
    pub reason: Reason,
    /// The template resource's id (with `/` and the `each` key behind it, where there is one).
    pub resource: Option<String>,
    /// The field: a path below the resource, or below the template or the instance. Example: `manifest.metadata.name`.
    pub field: String,
    /// What was found, what was expected, and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(resource) = &self.resource {
            write!(formatter, "resource \"{resource}\"")?;
            if !self.field.is_empty() {
                write!(formatter, ", {}", self.field)?;
            }
            write!(formatter, ": {}", self.message)
        } else if self.field.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{}: {}", self.field, self.message)
        }
    }
}
