//! Brakes without a kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use sensor_common::{
    brakes::{Budget, Demotion, FileKey, Reach, RuleKey},
    verdict::Action,
};
use sensor_user::kernel::engine::Brakes;

/// Brakes that do nothing but remember.
#[derive(Default)]
pub struct FakeBrakes {
    pub enforce: Mutex<bool>,
    pub demoted: Mutex<BTreeSet<RuleKey>>,
    pub lifeline: Mutex<BTreeMap<FileKey, Reach>>,
}

impl Brakes for FakeBrakes {
    fn set_enforce(&self, on: bool) -> anyhow::Result<()> {
        *self.enforce.lock().unwrap() = on;
        Ok(())
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn beat(&self) -> anyhow::Result<()> {
        Ok(())
    }

    fn silence(&self) -> anyhow::Result<Duration> {
        Ok(Duration::from_millis(250))
    }

    fn lifeline(&self) -> anyhow::Result<BTreeMap<FileKey, Reach>> {
        Ok(self.lifeline.lock().unwrap().clone())
    }

    fn set_lifeline(&self, listed: &BTreeMap<FileKey, Reach>) -> anyhow::Result<()> {
        self.lifeline.lock().unwrap().clone_from(listed);
        Ok(())
    }

    fn budgets(&self) -> anyhow::Result<BTreeMap<RuleKey, Budget>> {
        let budget = Budget { action: Action::Block as u32, count: 100, window: 10_000_000_000, fired: 105, held: 5 };
        Ok(self.demoted.lock().unwrap().iter().map(|key| (*key, budget)).collect())
    }

    fn demoted(&self) -> anyhow::Result<BTreeMap<RuleKey, Demotion>> {
        Ok(self.demoted.lock().unwrap().iter().map(|key| (*key, Demotion::after(Demotion::NONE, 1))).collect())
    }

    fn release(&self, rule: RuleKey) -> anyhow::Result<bool> {
        Ok(self.demoted.lock().unwrap().remove(&rule))
    }

    fn sweep(&self) -> anyhow::Result<()> {
        Ok(())
    }
}
