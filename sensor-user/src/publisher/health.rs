//! Asks Prometheus.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use sensor_content::{
    repository::{Fetch, Http, Reply, Request},
    rollout::{
        Health,
        prometheus::{self, Question},
    },
};

use super::Rollout;

/// Longest answer, bytes.
const ANSWER_MAX: usize = 16 << 20;
/// Longest time for one.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Prometheus, or what speaks like it.
#[derive(Clone, Debug)]
pub struct Prometheus(Http);

impl Prometheus {
    /// The one at this address, such as `http://127.0.0.1:9090`.
    ///
    /// # Errors
    /// It is no address.
    pub fn new(address: &str) -> anyhow::Result<Self> {
        Ok(Self(Http::new(&[address.to_owned()], None).map_err(|error| anyhow::anyhow!(error))?))
    }

    /// How the fleet is, as far as the roll-out has come.
    ///
    /// # Errors
    /// It does not answer, or not so that it can be used.
    pub fn health(&self, rollout: &Rollout, now: Timestamp) -> anyhow::Result<Health> {
        let since = now.duration_since(rollout.started);
        let mut answers = BTreeMap::new();
        for question in Question::ALL {
            let query = question.query(rollout.state.release, since, &rollout.plan);
            let path = format!("api/v1/query?query={}&time={}", encoded(&query), now.as_second());
            let request = Request { path: &path, max: ANSWER_MAX, patience: PATIENCE, etag: None, part: None };
            let answer = self.0.fetch(&request).with_context(|| format!("Prometheus does not say {question:?}"))?;
            if let Reply::Fresh { bytes, .. } = answer {
                answers.insert(question, bytes);
            }
        }
        Ok(prometheus::health(&answers, rollout.state.progress.stage + 1, now)?)
    }
}

/// As it stands in an address.
fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
