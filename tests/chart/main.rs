//! The Helm chart: what it renders, which values it refuses, what is generated from it, and that a real Helm installs,
//! upgrades, rolls back and uninstalls it on a real kube-apiserver. No pods run there; `tests/node` has those.
// What the lints ask of the program is not asked of its tests: here a panic is how a fault is reported.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    clippy::needless_pass_by_value
)]
// The helpers are those of all tests on a cluster.
#![allow(dead_code, unused_imports, unreachable_pub)]

mod documented;
mod generated;
mod ground;
mod helm;
mod hub;
mod install;
mod people;
mod placed;
mod pruned;
mod rendered;
mod replayed;
#[path = "../apiserver/support/mod.rs"]
mod support;
mod values;
