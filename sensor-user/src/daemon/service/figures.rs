//! The daemon's figures for Prometheus.

use std::sync::Arc;

use crate::{
    daemon::core::Core,
    kernel::engine::Engine,
    metrics::{self, server::Text},
};

/// The text of the figures, made anew for each scrape.
pub fn of<E: Engine>(core: &Arc<Core<E>>) -> Text {
    let core = Arc::clone(core);
    Arc::new(move || {
        core.fleet().count_scrape();
        let status = core.status().map_err(|error| format!("{error:#}"))?;
        metrics::text(&status).map_err(|error| error.to_string())
    })
}
