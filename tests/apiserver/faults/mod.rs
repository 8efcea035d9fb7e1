//! The operator under faults, each with a row in the table of `tests/faults.rs`.

mod absence;
mod clocks;
mod crashes;
mod definitions;
mod layer;
mod leader;
mod outages;
mod permissions;
pub mod proxy;
pub mod reference;
mod replicas;
mod requests;
mod signals;
mod sizes;
mod watching;
mod workflow;
