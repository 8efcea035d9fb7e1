//! Landfall: the software catalog and the golden path of an internal developer platform, as a Kubernetes operator.
//!
//! The rooms, each of which imports only from those before it: `api`, `catalog`, `template`, `runtime`,
//! `controllers`, `server`, `cli`.

#![recursion_limit = "256"]

pub mod api;
pub mod catalog;
pub mod cli;
pub mod controllers;
pub mod runtime;
pub mod server;
pub mod template;
