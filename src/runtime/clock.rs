//! Time as it passes on this machine, whatever its calendar says.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long this machine has been up, the time it was suspended included. It never goes back, and setting the date does not
/// move it: the clock by which a lease is judged.
pub fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}
