//! The catalog: refs between entities. Pure; no client is ever in scope here.

pub mod refs;
