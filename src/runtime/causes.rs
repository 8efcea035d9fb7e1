//! What an error came of.

use std::error::Error;

/// The error and what it came of, each said once.
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The error of this type that it is, or that it came of.
pub fn find<'error, Wanted: Error + 'static>(error: &'error (dyn Error + 'static)) -> Option<&'error Wanted> {
    error.downcast_ref().or_else(|| find(error.source()?))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no way: {0}")]
    struct NoWay(#[source] io::Error);

    #[test]
    fn a_cause_is_said_once_and_found() {
        let error = NoWay(io::Error::other("the disk is full"));
        assert_eq!(sentence(&error), "no way: the disk is full");
        assert!(find::<io::Error>(&error).is_some() && find::<std::fmt::Error>(&error).is_none());
    }
}
