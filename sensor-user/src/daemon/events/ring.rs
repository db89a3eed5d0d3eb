//! From the ring buffer to the journal.

use std::{io, time::Duration};

use anyhow::Context;
use aya::maps::{MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

use super::journal::Journal;
use crate::event::Clock;

/// How many events are taken before others get their turn.
const BATCH: usize = 256;
/// How long an event can lie in the ring buffer if the kernel forgets to wake the daemon.
const LATEST: Duration = Duration::from_secs(1);

/// The daemon's end of the ring buffer.
pub struct Ring {
    buffer: AsyncFd<RingBuf<MapData>>,
}

impl Ring {
    /// The end of this ring buffer; needs a running runtime.
    ///
    /// # Errors
    /// When the buffer cannot be waited for.
    pub fn new(buffer: RingBuf<MapData>) -> anyhow::Result<Self> {
        // SAFETY: the buffer owns its descriptor, and never replaces or closes it while it is owned by the `AsyncFd`.
        let registered = unsafe { AsyncFd::register_with_interest(buffer, Interest::READABLE) };
        let buffer = registered.map_err(io::Error::from).context("the ring buffer cannot be waited for")?;
        Ok(Self { buffer })
    }

    /// Hands each event to `journal` as it comes, until the future is dropped.
    ///
    /// # Errors
    /// When waiting fails.
    pub async fn pump(&mut self, journal: &Journal) -> anyhow::Result<()> {
        loop {
            while self.take(journal, BATCH) == BATCH {
                tokio::task::yield_now().await;
            }
            if let Ok(ready) = tokio::time::timeout(LATEST, self.buffer.readable()).await {
                ready.context("waiting for events failed")?.clear_ready();
            }
        }
    }

    /// Hands over at most `limit` events; how many there were.
    fn take(&mut self, journal: &Journal, limit: usize) -> usize {
        take(self.buffer.get_mut(), journal, limit)
    }

    /// The buffer, when nobody waits for it any more.
    pub fn into_inner(self) -> RingBuf<MapData> {
        self.buffer.into_inner()
    }
}

/// Hands over what is in the buffer now.
pub fn drain(buffer: &mut RingBuf<MapData>, journal: &Journal) {
    while take(buffer, journal, BATCH) == BATCH {}
}

fn take(buffer: &mut RingBuf<MapData>, journal: &Journal, limit: usize) -> usize {
    let clock = Clock::now();
    let mut bytes = Vec::new();
    for count in 0..limit {
        match buffer.next() {
            Some(record) => {
                bytes.clear();
                bytes.extend_from_slice(&record);
            }
            None => return count,
        }
        // Out of the buffer first: if the daemon is killed here, the next one does not report the event again.
        journal.accept(&bytes, clock);
    }
    limit
}
