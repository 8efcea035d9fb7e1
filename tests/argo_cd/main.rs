//! A real Argo CD syncs Git repositories of our manifests, beside a real operator on a real kube-apiserver. `tests/cluster/cluster
//! argocd` builds it; where that was not done, these tests are left out, and say so.
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

mod account;
mod example;
mod fifty;
mod manifests;
mod moving;
mod order;
mod peer;
#[path = "../apiserver/support/mod.rs"]
mod support;
