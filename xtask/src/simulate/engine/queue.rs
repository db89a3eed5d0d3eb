//! Who is next: hosts sorted by bucket, so that a document finds those that it newly covers without asking the others.

use sensor_content::rollout::{Document, Ring};

use crate::simulate::fleet::{Fleet, KERNELS};

/// Hosts of one ring and kernel, in the order in which they are offered a release.
pub struct Queue {
    ring: Ring,
    kernel: usize,
    hangs: bool,
    hosts: Vec<u32>,
    /// So many are covered.
    covered: usize,
}

impl Queue {
    /// Those that `document` covers and none before it did.
    pub fn next(&mut self, document: &Document, fleet: &Fleet) -> Vec<u32> {
        let offer = document.offers.get(&self.ring).filter(|_| document.hanging || !self.hangs);
        let Some(share) = offer.map(|offer| offer.of(&fleet.kernels[self.kernel])) else { return Vec::new() };
        let covered = |host: &&u32| share.contains(fleet.hosts[**host as usize].bucket);
        let next: Vec<_> = self.hosts[self.covered..].iter().take_while(covered).copied().collect();
        self.covered += next.len();
        next
    }
}

/// All hosts, by ring, kernel and whether they hang.
pub fn queues(fleet: &Fleet) -> Vec<Queue> {
    let mut queues: Vec<Queue> = Vec::new();
    for ring in Ring::ALL {
        for kernel in 0..KERNELS {
            for hangs in [false, true] {
                queues.push(Queue { ring, kernel, hangs, hosts: Vec::new(), covered: 0 });
            }
        }
    }
    for (host, traits) in (0..).zip(&fleet.hosts) {
        let index = (traits.ring as usize * KERNELS + usize::from(traits.kernel)) * 2 + usize::from(traits.hangs);
        queues[index].hosts.push(host);
    }
    for queue in &mut queues {
        queue.hosts.sort_unstable_by_key(|host| (fleet.hosts[*host as usize].bucket, *host));
    }
    queues
}
