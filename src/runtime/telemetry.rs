//! Logs: text for people, JSON for machines.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt as layers};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, which can be changed while the process runs.
#[derive(Clone)]
pub struct LogFilter {
    handle: Handle<EnvFilter, Registry>,
    first: Arc<str>,
    present: Arc<Mutex<String>>,
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("LogFilter").field(&self.get()).finish()
    }
}

impl LogFilter {
    /// What is logged now, as `RUST_LOG` has it.
    pub fn get(&self) -> String {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs what `filter` says from now on.
    ///
    /// # Errors
    /// When it cannot be read; what is logged stays as it is then.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let parsed = parse(filter)?;
        self.handle
            .reload(parsed)
            .map_err(|error| format!("logging: {error}"))?;
        filter.clone_into(&mut self.present.lock().unwrap_or_else(PoisonError::into_inner));
        tracing::info!(filter, "what is logged was changed");
        Ok(())
    }

    /// Logs what was asked for at the start.
    pub fn reset(&self) {
        // It could be read then.
        let _ = self.set(&self.first);
    }
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    if filter.is_empty() {
        return Err("log filter: it is empty; say for example info,landfall=debug".to_owned());
    }
    EnvFilter::try_new(filter)
        .map_err(|error| format!("log filter \"{filter}\": {error}; say for example info,landfall=debug"))
}

/// Starts logging to standard error. `filter` is as `RUST_LOG` has it, for example `info,landfall=debug`.
///
/// # Errors
/// When the filter cannot be read, or logging was started before.
pub fn start(filter: &str, format: LogFormat) -> Result<LogFilter, String> {
    let (layer, handle) = reload::Layer::new(parse(filter)?);
    let lines = layers::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(true);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer)
        .with(lines)
        .try_init()
        .map_err(|error| format!("logging: {error}"))?;
    Ok(LogFilter {
        handle,
        first: filter.into(),
        present: Arc::new(Mutex::new(filter.to_owned())),
    })
}
