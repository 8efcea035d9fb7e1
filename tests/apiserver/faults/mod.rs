//! The operator under faults, each with a row in the table of `tests/faults.rs`.

mod crashes;
mod layer;
mod proxy;
mod reference;
mod requests;
mod signals;
mod watching;
mod workflow;
