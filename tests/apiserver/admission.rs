//! What the apiserver is told before it takes something in, by `landfall webhook` as a process, asked by a real apiserver.

mod certificates;
mod deletions;
mod door;
mod instances;
mod outage;
mod previews;
mod speed;
