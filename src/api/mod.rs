//! The API `catalog.landfall.dev/v1alpha1`: one file a kind, and what the kinds share.
//!
//! Field names and meanings inside `spec` are Backstage's; `instance` is what an entity gains by naming a
//! template. The types here hold no behaviour beyond reading and writing themselves.

pub mod common;
pub mod component;
pub mod conditions;
pub mod crds;
pub mod instance;
pub mod marks;
pub mod reasons;
pub mod rules;
pub mod schemas;
pub mod system;
pub mod template;
#[cfg(test)]
mod tests;

pub use common::{EntityMetadata, Extensions, Link};
pub use component::{Component, ComponentSpec};
pub use conditions::Condition;
pub use instance::{InstanceStatus, InstanceTemplate, InventoryEntry};
pub use system::{System, SystemSpec, SystemStatus};
pub use template::{Template, TemplateSpec, TemplateStatus};

/// The API group of every kind.
pub const GROUP: &str = "catalog.landfall.dev";
/// The one version that is served and stored.
pub const VERSION: &str = "v1alpha1";
/// `group/version`, as `apiVersion` has it.
pub const API_VERSION: &str = "catalog.landfall.dev/v1alpha1";
