//! What a running operator needs whatever it reconciles: clients and the fence before their writes, leader
//! election, discovery, telemetry, probes, backoff, events.

pub mod backoff;
pub mod causes;
pub mod clients;
pub mod clock;
pub mod definitions;
pub mod depth;
pub mod destination;
pub mod discovery;
pub mod events;
pub mod fence;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod openapi;
pub mod proxy;
mod recorder;
pub mod server_side_apply;
pub mod telemetry;
