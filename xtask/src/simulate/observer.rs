//! What Prometheus would know: counts by stage and kernel, of those that took the release and of the control group.

use std::collections::BTreeMap;

use sensor_content::rollout::{Census, Cohort, Counts, Health};

use super::{
    fleet::{KERNELS, Time},
    publisher,
};

/// Those that took the release, or those that only went through the motions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    Treated,
    Control,
}

/// A stage and a kernel of an arm.
#[derive(Clone, Copy)]
pub struct Cell {
    pub arm: Arm,
    pub stage: u8,
    pub kernel: u8,
}

/// Counts of all cells.
pub struct Observer {
    kernels: Vec<String>,
    census: Census,
    counts: [Vec<Counts>; 2],
    /// Hosts that are watched now.
    watched: [Vec<u64>; 2],
}

impl Observer {
    pub fn new(kernels: Vec<String>, census: Census, stages: usize) -> Self {
        let cells = stages * KERNELS;
        let counts = [vec![Counts::default(); cells], vec![Counts::default(); cells]];
        Self { kernels, census, counts, watched: [vec![0; cells], vec![0; cells]] }
    }

    const fn index(cell: Cell) -> usize {
        cell.stage as usize * KERNELS + cell.kernel as usize
    }

    pub fn counts(&mut self, cell: Cell) -> &mut Counts {
        &mut self.counts[cell.arm as usize][Self::index(cell)]
    }

    /// A host begins to be watched.
    pub fn watch(&mut self, cell: Cell) {
        self.watched[cell.arm as usize][Self::index(cell)] += 1;
    }

    /// A host is watched no more.
    pub fn leave(&mut self, cell: Cell) {
        let watched = &mut self.watched[cell.arm as usize][Self::index(cell)];
        *watched = watched.saturating_sub(1);
    }

    /// A minute passes.
    pub fn minute(&mut self) {
        for (counts, watched) in self.counts.iter_mut().zip(&self.watched) {
            for (counts, watched) in counts.iter_mut().zip(watched) {
                counts.minutes += watched;
            }
        }
    }

    /// A reading, of the stages up to `stage`.
    pub fn read(&self, now: Time, stage: usize) -> Health {
        let arm = |arm: Arm, stage: usize| -> BTreeMap<String, Counts> {
            let cells = self.counts[arm as usize].iter().skip(stage * KERNELS).take(KERNELS);
            let seen = self.kernels.iter().zip(cells).filter(|(_, counts)| counts.fetched > 0);
            seen.map(|(kernel, counts)| (kernel.clone(), *counts)).collect()
        };
        let cohort = |stage| Cohort { treated: arm(Arm::Treated, stage), control: arm(Arm::Control, stage) };
        Health { stages: (0..=stage).map(cohort).collect(), ..publisher::blind(self.census.clone(), now) }
    }
}
