//! Templates: what they say, whether it holds together, and what they come to for one instance.
//!
//! Everything here is pure: no client, no clock, no randomness. The steps are [`content`] (the immutable part
//! of a Template and its digest), [`compile`] (every fault that can be known without an instance),
//! [`plan`] (the objects for one instance, every identity known), [`plan::Plan::render`] (one
//! object's body, once the live values it names are there), and [`comparison`] (what that would change).

pub mod comparison;
pub mod compile;
pub mod content;
pub mod definition;
pub mod examples;
mod expression;
pub mod fault;
mod graph;
pub mod health;
pub mod include;
pub mod kinds;
pub mod lint;
pub(crate) mod names;
mod parameters;
pub mod pipelines;
mod placement;
pub mod plan;
mod planning;
mod references;
mod rendering;
mod resource;
pub mod rollout;
mod rules;
#[cfg(test)]
mod tests;
mod tree;
