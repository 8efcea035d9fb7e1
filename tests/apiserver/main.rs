//! Tests against a real kube-apiserver, which this binary brings up for itself (`support`).
// What the lints ask of the program is not asked of its tests: here a panic is how a fault is reported.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    clippy::needless_pass_by_value // objects are written in place, as `json!` gives them
)]
// The helpers are there for all tests, also for those that are yet to come.
#![allow(dead_code, unused_imports, unreachable_pub)]

mod accounts;
mod admission;
mod adoption;
mod apply_preconditions;
mod bad_input;
mod budgets;
mod catalog;
mod changes;
mod crds;
mod deletion;
mod drift;
mod events;
mod examples;
mod faults;
mod fuzz;
mod health;
mod identity;
mod import;
mod includes;
mod interference;
mod losses;
mod moving;
mod operations;
mod ownership;
mod patches;
mod pipeline_runs;
mod plan;
mod provisioning;
mod proxies;
mod real_input;
mod refusals;
mod release;
mod restarts;
mod rollout;
mod scale;
mod security;
mod smoke;
mod support;
mod systems;
mod teardown;
mod template_examples;
mod templates;
mod why;
