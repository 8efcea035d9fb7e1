//! The catalog: refs between entities, the index of them all, conversion from and to Backstage's descriptors, and the URLs that
//! people are shown. Pure; no client is ever in scope here.

pub mod conversion;
pub mod fields;
pub mod index;
pub mod integrity;
pub mod refs;
pub mod relations;
pub mod summary;
pub mod urls;
pub mod yaml;
