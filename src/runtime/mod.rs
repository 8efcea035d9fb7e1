//! What a running operator needs whatever it reconciles: clients, discovery, telemetry, probes, backoff, events.

pub mod backoff;
pub mod clients;
pub mod depth;
pub mod discovery;
pub mod events;
pub mod http;
pub mod metrics;
pub mod openapi;
pub mod server_side_apply;
pub mod telemetry;
