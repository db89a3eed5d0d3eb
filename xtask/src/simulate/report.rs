//! Tables and JSON.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{
    fleet::{DAY, HOUR, MINUTE, Time},
    scenario::{Scenario, Strategy},
    tally::Tally,
};

/// One scenario, all its strategies.
pub struct Report {
    pub scenario: Scenario,
    pub hosts: u32,
    pub seed: u64,
    pub outcomes: Vec<(Strategy, Tally)>,
}

impl Report {
    pub fn text(&self, json: bool) -> Result<String> {
        if json {
            let outcomes: Vec<_> = self
                .outcomes
                .iter()
                .map(|(strategy, tally)| {
                    Ok(json!({"strategy": strategy.name(), "outcome": serde_json::to_value(tally)?}))
                })
                .collect::<Result<_>>()?;
            let report = json!({
                "scenario": self.scenario.name, "number": self.scenario.number, "what": self.scenario.what,
                "hosts": self.hosts, "seed": self.seed, "outcomes": outcomes,
            });
            return Ok(serde_json::to_string_pretty(&report)?);
        }
        let mut rows = vec![self.head()];
        rows.extend(ROWS.iter().map(|(name, value)| {
            let values = self.outcomes.iter().map(|(_, tally)| value(tally, self.hosts));
            std::iter::once((*name).to_owned()).chain(values).collect()
        }));
        let mut parts =
            vec![format!("{} ({} hosts, seed {})\n\n{}", self.scenario, self.hosts, self.seed, table(&rows))];
        for (strategy, tally) in &self.outcomes {
            let more = tally.reasons.len().saturating_sub(3);
            parts.extend(tally.reasons.iter().take(3).map(|reason| format!("\n{}: {reason}", strategy.name())));
            parts.extend((more > 0).then(|| format!("\n{}: {more} more reasons", strategy.name())));
        }
        Ok(parts.concat())
    }

    fn head(&self) -> Vec<String> {
        std::iter::once(String::new())
            .chain(self.outcomes.iter().map(|(strategy, _)| strategy.name().to_owned()))
            .collect()
    }
}

/// A row: its name, and its value from a tally and the number of hosts.
type Row = (&'static str, fn(&Tally, u32) -> String);

const ROWS: &[Row] = &[
    ("hosts that took it", |tally, hosts| part(tally.taken, hosts)),
    ("hosts harmed", |tally, hosts| part(tally.harmed, hosts)),
    ("  need a hand", |tally, _| tally.repairs.to_string()),
    ("  harmed for, median", |tally, _| maybe((tally.harmed > 0).then_some(tally.harmed_median))),
    ("  harmed for, longest", |tally, _| maybe((tally.harmed > 0).then_some(tally.harmed_longest))),
    ("stopped after", |tally, _| maybe(tally.halted)),
    ("  first harm to stop", |tally, _| maybe(tally.harm_to_halt)),
    ("  stop to last host that took it", |tally, _| maybe(tally.last_take_after_halt)),
    ("  stop to last polling host returned", |tally, _| maybe(tally.last_return)),
    ("paused for", |tally, _| maybe((tally.paused_minutes > 0).then_some(tally.paused_minutes * MINUTE))),
    ("99% of reachable hosts have it", |tally, _| maybe(tally.protected)),
    ("requests per second, peak", |tally, _| tally.peak_requests.to_string()),
];

fn part(count: u64, hosts: u32) -> String {
    format!("{count} ({:.4}%)", count as f64 / f64::from(hosts) * 100.0)
}

fn maybe(time: Option<Time>) -> String {
    time.map_or_else(|| "-".to_owned(), duration)
}

/// Such as `3d 4h`, `1h 18m`, `4m 30s`.
pub fn duration(time: Time) -> String {
    match time {
        0..MINUTE => format!("{time}s"),
        MINUTE..HOUR => format!("{}m {}s", time / MINUTE, time % MINUTE),
        HOUR..DAY => format!("{}h {}m", time / HOUR, time % HOUR / MINUTE),
        _ => format!("{}d {}h", time / DAY, time % DAY / HOUR),
    }
}

/// False halts of many good releases.
#[derive(Serialize)]
pub struct FalseHalts {
    pub releases: u64,
    pub hosts: u32,
    pub seed: u64,
    #[serde(serialize_with = "named")]
    pub stopped: Vec<(Strategy, u64)>,
    #[serde(serialize_with = "named")]
    pub paused: Vec<(Strategy, u64)>,
    /// Those that 99 % of the reachable hosts got.
    #[serde(serialize_with = "named")]
    pub arrived: Vec<(Strategy, u64)>,
}

fn named<S: serde::Serializer>(counts: &[(Strategy, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(strategy, count)| (strategy.name(), count)))
}

impl FalseHalts {
    pub fn text(&self, json: bool) -> Result<String> {
        if json {
            return Ok(serde_json::to_string_pretty(self)?);
        }
        let row = |name: &str, counts: &[(Strategy, u64)]| {
            let share = |count: u64| format!("{count} ({:.1}%)", count as f64 / self.releases.max(1) as f64 * 100.0);
            std::iter::once(name.to_owned()).chain(counts.iter().map(|(_, count)| share(*count))).collect()
        };
        let head =
            std::iter::once(String::new()).chain(self.stopped.iter().map(|(strategy, _)| strategy.name().to_owned()));
        let rows = [
            head.collect(),
            row("stopped", &self.stopped),
            row("paused at least once", &self.paused),
            row("99% of reachable hosts have it", &self.arrived),
        ];
        Ok(format!(
            "{} good releases, {} hosts each, seeds from {}\n\n{}",
            self.releases,
            self.hosts,
            self.seed,
            table(&rows)
        ))
    }
}

/// Columns as wide as their widest cell, the first row underlined.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let (head, body) = rows.split_at(rows.len().min(1));
    let lines = head.iter().map(|row| line(row)).chain([line(&rule)]).chain(body.iter().map(|row| line(row)));
    lines.collect()
}
