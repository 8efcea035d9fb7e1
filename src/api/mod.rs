//! The API `catalog.landfall.dev/v1alpha1`: one file a kind, and what the kinds share.
//!
//! Field names and meanings inside `spec` are Backstage's; `instance` is what an entity gains by naming a
//! template. The types here hold no behaviour beyond reading and writing themselves.

pub mod api_entity;
pub mod common;
pub mod component;
pub mod conditions;
pub mod crds;
pub mod domain;
pub mod entity;
pub mod example;
pub mod group;
pub mod instance;
pub mod location;
pub mod marks;
pub mod moving;
pub mod reasons;
pub mod resource;
pub mod rollout;
pub mod rules;
pub mod schemas;
pub mod system;
pub mod template;
#[cfg(test)]
mod tests;
pub mod user;

pub use api_entity::{API, ApiSpec};
pub use common::{EntityCounts, EntityMetadata, EntityStatus, Extensions, Link, Profile, RelationSummary, Subject};
pub use component::{Component, ComponentSpec};
pub use conditions::Condition;
pub use domain::{Domain, DomainSpec, DomainStatus};
pub use entity::{Entity, EntitySpec};
pub use group::{Group, GroupSpec, GroupStatus};
pub use instance::{InstanceStatus, InstanceTemplate, InventoryEntry};
pub use location::{Location, LocationSpec};
pub use moving::{HandOver, TakeOver, TakenOver};
pub use resource::{Resource, ResourceSpec};
pub use system::{System, SystemSpec, SystemStatus};
pub use template::{Template, TemplateSpec, TemplateStatus};
pub use user::{User, UserSpec, UserStatus};

/// The API group of every kind.
pub const GROUP: &str = "catalog.landfall.dev";
/// The one version that is served and stored.
pub const VERSION: &str = "v1alpha1";
/// `group/version`, as `apiVersion` has it.
pub const API_VERSION: &str = "catalog.landfall.dev/v1alpha1";
/// The kinds that have a resource of their own; an entity of every other kind is an `Entity`.
pub const KINDS: [&str; 9] = [
    "API",
    "Component",
    "Domain",
    "Group",
    "Location",
    "Resource",
    "System",
    "Template",
    "User",
];
