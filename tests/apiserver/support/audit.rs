//! The apiserver's audit log: who asked for what.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::cluster::Cluster;
use super::entry::{self, Entry};
use super::patience::eventually;

/// The audit log of one cluster.
#[derive(Debug)]
pub struct Audit<'a> {
    cluster: &'a Cluster,
}

/// A place in the audit log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Mark {
    /// Where the log begins.
    pub const START: Self = Self(0);
}

impl<'a> Audit<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// The place where the log ends now.
    pub async fn mark(&self) -> Mark {
        self.fence().await;
        Mark(fs::metadata(self.path()).unwrap().len())
    }

    /// All that was asked since the mark and has been answered, in the order of the answers.
    pub async fn since(&self, mark: Mark) -> Vec<Entry> {
        self.fence().await;
        self.read(mark)
    }

    /// Waits until the log holds what had been answered before this call: an entry is written at the end
    /// of a request, which can be a moment after its answer has arrived.
    async fn fence(&self) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let place = Mark(fs::metadata(self.path()).map_or(0, |file| file.len()));
        let path = format!("/version?fence={}", COUNT.fetch_add(1, Ordering::Relaxed));
        let client = self.cluster.client().await;
        client
            .request_text(http::Request::get(&path).body(Vec::new()).unwrap())
            .await
            .unwrap();
        eventually("the audit log to reach the present", async || {
            self.read(place).iter().any(|entry| entry.uri == path).then_some(())
        })
        .await;
    }

    fn read(&self, mark: Mark) -> Vec<Entry> {
        let mut file = File::open(self.path()).unwrap();
        file.seek(SeekFrom::Start(mark.0.saturating_sub(1))).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if mark.0 > 0 {
            // A line that was half written at the mark was answered before it.
            text = text
                .split_once('\n')
                .map_or_else(String::new, |(_, rest)| rest.to_owned());
        }
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(entry::read).collect()
    }

    fn path(&self) -> PathBuf {
        self.cluster.directory().join("audit.log")
    }
}
