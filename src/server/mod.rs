//! What others ask over HTTP: the apiserver, whether to admit something.

pub mod admission;
pub mod certificates;
pub mod tls;
