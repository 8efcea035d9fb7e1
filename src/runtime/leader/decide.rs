//! Who leads, decided from what was seen of the lease and from this machine's own clock. Nothing here asks anybody.
//!
//! The clock of no other machine is ever looked at: a lease that someone else holds runs out when it has not changed *for this
//! observer* for as long as its holder has promised. The holder counts from before it sent its last renewal, which is earlier
//! than anyone can have seen it, and stops writing before its promise ends.

use std::time::Duration;

/// The times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For how long a lease that is not renewed keeps others out.
    pub lease_duration: Duration,
    /// For how long after its last renewal a leader writes.
    pub renew_deadline: Duration,
    /// How often it is renewed, and looked at by those who wait.
    pub retry_period: Duration,
}

impl Times {
    /// Whether these times can keep two leaders apart.
    ///
    /// # Errors
    /// Which cannot, and what it has to be.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            lease_duration,
            renew_deadline,
            retry_period,
        } = *self;
        let whole = lease_duration.subsec_nanos() == 0 && (1..=3600).contains(&lease_duration.as_secs());
        if !whole {
            return Err(format!(
                "--lease-duration {lease_duration:?}: a Lease holds whole seconds, 1 s to 1 h"
            ));
        }
        if renew_deadline >= lease_duration {
            return Err(format!(
                "--renew-deadline {renew_deadline:?} must be shorter than --lease-duration {lease_duration:?}: a leader has to stop before another may start"
            ));
        }
        if retry_period < Duration::from_millis(100) || retry_period * 2 > renew_deadline {
            return Err(format!(
                "--retry-period {retry_period:?} must be at least 100 ms and at most half of --renew-deadline {renew_deadline:?}: one renewal that fails must not end a term"
            ));
        }
        Ok(())
    }

    /// For how long the apiserver must have answered again before a lease counts as run out: its holder could not renew it
    /// while nobody answered, and comes first.
    fn grace(&self) -> Duration {
        self.retry_period * 2
    }
}

/// A lease as it was read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty when it was released.
    pub holder: String,
    /// For how long its holder keeps others out without renewing it, where it says so.
    pub promise: Option<Duration>,
    /// The resourceVersion.
    pub version: String,
    /// How often it has changed hands.
    pub transitions: i32,
}

/// What one process knows of the lease.
#[derive(Clone, Debug, Default)]
pub struct View {
    record: Option<Record>,
    /// The last record before the lease was deleted.
    deleted: Option<Record>,
    /// When `record` was first seen so.
    changed: Duration,
    /// Since when every look was answered.
    answered: Option<Duration>,
    /// Whether this process has led, so that another holder means that it has lost the lease.
    leading: bool,
    /// When the last write of ours that was accepted was sent.
    renewed: Duration,
    /// Whether a lease that names us may have been made anew after another had led: of a lease that was deleted nothing tells
    /// who held it in between.
    doubtful: bool,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Make it ours: nobody holds it, or its holder's promise has run out. One that starts just when the lease was deleted knows
    /// of no holder; that is the one case in which a leader that has not noticed yet is not waited for.
    Claim,
    /// It is ours: renew it.
    Renew,
    /// Another holds it; not to be claimed before this time.
    Wait(Duration),
    /// It was ours, and another holds it.
    Lost(String),
}

impl View {
    /// The apiserver answered at `now` that the lease is so, or that there is none.
    pub fn saw(&mut self, record: Option<Record>, now: Duration) {
        self.answered.get_or_insert(now);
        if self.record == record {
            return;
        }
        self.changed = now;
        self.deleted = match record {
            None => self.record.take().or(self.deleted.take()),
            Some(_) => None,
        };
        self.record = record;
    }

    /// A write of ours that was sent at `sent` was accepted; the answer came at `now`. Gives whether the lease is ours by it.
    pub fn wrote(&mut self, record: Record, times: &Times, sent: Duration, now: Duration) -> bool {
        self.doubtful = self.recreates() && now >= self.renewed + times.lease_duration;
        self.saw(Some(record), now);
        if !self.doubtful {
            self.leading = true;
            self.renewed = sent;
        }
        !self.doubtful
    }

    /// The apiserver did not answer a look.
    pub fn unanswered(&mut self) {
        self.answered = None;
    }

    /// The apiserver did not answer a write of ours, which may have been carried out, or may be yet.
    pub fn unsettled(&mut self) {
        self.answered = None;
        self.doubtful |= self.recreates();
    }

    /// Whether a write of ours makes a lease anew that was deleted.
    fn recreates(&self) -> bool {
        self.record.is_none() && self.deleted.is_some()
    }

    /// Whether the last look was answered.
    pub fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    /// The lease as last seen.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// What `identity` is to do at `now`.
    pub fn decide(&self, identity: &str, times: &Times, now: Duration) -> Decision {
        let in_term = self.leading && now < self.renewed + times.renew_deadline;
        let other = match (&self.record, &self.deleted) {
            (Some(record), _) if record.holder == identity && !self.doubtful => return Decision::Renew,
            (Some(record), _) if record.holder.is_empty() => return Decision::Claim,
            (Some(record), _) if self.leading && record.holder != identity => {
                return Decision::Lost(record.holder.clone());
            }
            (None, None) => return Decision::Claim,
            // Nobody else can have held it since.
            (None, Some(record)) if in_term && record.holder == identity => return Decision::Claim,
            // Where it was deleted, whoever held it may not have noticed yet.
            (Some(record), _) | (None, Some(record)) => record,
        };
        let promise = other.promise.unwrap_or(times.lease_duration);
        let answered = self.answered.unwrap_or(now) + times.grace();
        let free = (self.changed + promise).max(answered);
        if now >= free {
            Decision::Claim
        } else {
            Decision::Wait(free)
        }
    }
}

#[cfg(test)]
mod tests;
