//! The catalog: refs between entities, and the URLs that people are shown. Pure; no client is ever in scope here.

pub mod refs;
pub mod urls;
