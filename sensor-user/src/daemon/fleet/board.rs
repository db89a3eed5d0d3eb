//! What status and metrics say of the host in its fleet.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::ledger::Ledger;
use crate::api::fleet::Fleet;

/// Between the member, who writes, and those who ask.
#[derive(Debug, Default)]
pub struct Board {
    fleet: Mutex<Option<Fleet>>,
    scrapes: AtomicU64,
    ledger: OnceLock<Arc<Ledger>>,
}

impl Board {
    /// What is known now.
    pub fn read(&self) -> Option<Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows this from now on.
    pub fn write(&self, fleet: Fleet) {
        *self.fleet.lock().unwrap_or_else(PoisonError::into_inner) = Some(fleet);
    }

    /// The member writes its part in roll-outs here.
    pub fn set_ledger(&self, ledger: &Arc<Ledger>) {
        let _ = self.ledger.set(Arc::clone(ledger));
    }

    /// The daemon ends in order, whatever the member waits for.
    pub fn end(&self) {
        if let Some(ledger) = self.ledger.get() {
            ledger.end();
        }
    }

    /// Somebody has asked for the figures.
    pub fn count_scrape(&self) {
        self.scrapes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often somebody has.
    pub fn scrapes(&self) -> u64 {
        self.scrapes.load(Ordering::Relaxed)
    }
}
