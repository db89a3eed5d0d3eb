//! What is said of content: in `creance status`, and once in the log.

use jiff::Timestamp;
use sensor_content::{
    gate::Wish,
    life::Judgement,
    store::{Rung, Switch, UNCLEAN},
};

use super::{Keeper, TRANSIENT};
use crate::{api::status, daemon::generations::permit::name, log::say};

impl Keeper {
    /// Says once why the owner's wish to go back cannot be met.
    pub fn report_wish(&mut self, words: Option<String>) {
        if let Some(words) = words.as_ref().filter(|words| self.said_of_wish.as_ref() != Some(words)) {
            say(format_args!("WARNING: {words}"));
        }
        self.said_of_wish = words;
    }

    /// What to say of a baseline that is not started any more.
    pub fn baseline_trouble(&self) -> Option<String> {
        self.store.memory().is_baseline_given_up().then(|| {
            format!(
                "the baseline is given up: {UNCLEAN} times in a row the host went down, or the daemon ended, before it had settled; to \
                 start it again, stop the daemon and run `creance recover --root / --pardon`"
            )
        })
    }

    /// The warning where the switch that held content back at the start has been removed: switches act only at a
    /// start.
    fn started_under_a_switch(&mut self) -> Option<String> {
        let before = self.started_under.filter(|_| self.switch().is_none())?;
        if matches!(self.running(), Rung::Generation(_)) {
            return None;
        }
        let best = self.ladder().rungs.into_iter().next()?;
        (best != self.running()).then(|| {
            format!(
                "the daemon was started under the switch `{before}`, which is gone: start it anew (`systemctl restart creance`) to go on with {}",
                name(best)
            )
        })
    }

    /// Why nothing is in force.
    pub fn why_nothing(&self) -> String {
        match (self.switch(), self.baseline_trouble()) {
            (Some(Switch::Off), _) => "a switch says off".into(),
            (_, Some(trouble)) => trouble,
            _ => "neither a generation nor the baseline could be started".into(),
        }
    }

    /// For `creance status`.
    pub fn status(&mut self, active: Option<u64>) -> status::Content {
        let (wish, started) = (self.wish(), self.started_under_a_switch());
        let memory = self.store.memory();
        let stage = match self.running() {
            Rung::Nothing if active.is_some() => format!("not kept: {TRANSIENT}"),
            Rung::Nothing => "no generation from the store".to_owned(),
            Rung::Baseline => "baseline".to_owned(),
            Rung::Generation(id) => match memory.trial.as_ref().filter(|trial| trial.id == id) {
                None => "good".to_owned(),
                Some(trial) => match trial.judge(Timestamp::now(), self.store.boot()) {
                    Judgement::Until(time) => format!("on probation until {time:.0} and a reboot"),
                    Judgement::Reboot => "on probation until the host has been rebooted".to_owned(),
                    Judgement::Good => "on probation until it has settled".to_owned(),
                },
            },
        };
        status::Content {
            stage,
            good: memory.good.iter().map(|id| id.number).collect(),
            trial: memory.trial.as_ref().map(|trial| trial.id.number),
            denied: memory.denied.iter().map(|denial| (denial.id.number, denial.reason.clone())).collect(),
            waits: self.retry.as_ref().and_then(|retry| retry.waits.clone()),
            switch: self.switch().map(|switch| switch.to_string()),
            restrained: self.running.permit.restrained().to_vec(),
            trouble: self
                .blindness()
                .into_iter()
                .chain(self.baseline_trouble())
                .chain(if let Wish::Unmet(words) = wish { Some(words) } else { None })
                .chain(started)
                .chain(self.switched.complaints.iter().cloned())
                .chain(self.store.damage().iter().cloned())
                .collect(),
        }
    }
}
