//! Generations that harm their host, and the way back.

use sensor_content::{
    life::Stage,
    store::{CRASHES, Rung, Store, Switch},
};

use super::{
    disk::{Disk, Medium},
    host::{Host, boot, id, now, start},
};

/// A host whose generations 1 to `last` are good.
fn host(last: u64) -> Host {
    let mut host = Host::boots(Disk::new(Medium::default(), usize::MAX), "first").unwrap();
    for number in 1..=last {
        host.tries(number).unwrap();
        host.stops().unwrap();
        host = host.reboots(&format!("boot {number}")).unwrap();
        host.retries().unwrap();
        host.promotes().unwrap();
    }
    host.stops().unwrap();
    host
}

fn first_rung(host: &Host) -> Rung {
    start(&host.store, None).rungs[0]
}

fn generation(number: u64) -> Rung {
    Rung::Generation(id(number))
}

#[test]
fn the_last_three_good_ones_are_kept_and_start_newest_first() {
    let host = host(5);
    let rungs = start(&host.store, None).rungs;
    assert_eq!(rungs, [generation(5), generation(4), generation(3), Rung::Baseline, Rung::Nothing]);
    assert!(host.store.bundle(id(2), &super::keys()).is_err(), "its file is gone");
    assert_eq!(start(&host.store, Some(Switch::Baseline)).rungs, [Rung::Baseline, Rung::Nothing]);
}

#[test]
fn the_one_in_the_shadow_keeps_its_bundle_whatever_becomes_of_others() {
    let mut host = host(2);
    host.keeps(3).unwrap();
    host.store.roll_back(id(2), Some(id(3)), "by order", now()).unwrap();
    host.tries(4).unwrap();
    host.store.promote(Some(id(3)), now()).unwrap();
    host.store.bundle(id(3), &super::keys()).unwrap();
    host.store.roll_back(id(3), Some(id(3)), "revoked", now()).unwrap();
    assert!(host.store.bundle(id(3), &super::keys()).is_err(), "its file is still there");
}

#[test]
fn one_that_crashes_the_host_on_probation_is_charged_once_and_for_all() {
    let mut host = host(2);
    host.tries(3).unwrap();
    host.settles().unwrap();
    let host = host.reboots("after the crash").unwrap();
    assert_eq!(first_rung(&host), generation(2));
    assert_eq!(start(&host.store, None).retry, None);
    assert!(host.is_denied(3));
    let history = host.store.history().unwrap();
    let end: Vec<_> = history.iter().rev().take(2).map(|entry| (entry.generation, entry.stage)).collect();
    assert_eq!(end, [(id(3), Stage::Denied), (id(3), Stage::RolledBack)]);
    assert!(
        history.last().unwrap().reason.contains("rolled back")
            && history[history.len() - 2].reason.contains("went down")
    );
}

#[test]
fn one_that_kills_the_daemon_at_load_is_charged_in_the_same_boot() {
    let mut host = host(2);
    host.keeps(3).unwrap();
    host.loads(3).unwrap();
    let name = host.store.boot().0.clone();
    let host = host.reboots(&name).unwrap();
    assert!(host.is_denied(3));
    assert_eq!(first_rung(&host), generation(2));
}

#[test]
fn one_on_probation_may_see_the_daemon_end_twice_in_a_boot_and_not_thrice() {
    let mut host = host(2);
    host.tries(3).unwrap();
    let name = host.store.boot().0.clone();
    for end in 1..=CRASHES {
        assert!(!host.is_denied(3));
        host = host.reboots(&name).unwrap();
        assert_eq!(start(&host.store, None).retry.is_some(), end < CRASHES);
        if end < CRASHES {
            host.retries().unwrap();
        }
    }
    assert!(host.is_denied(3));
}

#[test]
fn a_good_one_is_charged_with_two_unclean_boots_in_a_row_and_not_with_a_power_cut_a_month() {
    let mut host = host(2);
    host.starts(None).unwrap();
    for month in 0..5 {
        host.settles().unwrap();
        host = host.reboots(&format!("month {month}")).unwrap();
        assert_eq!(first_rung(&host), generation(2));
    }
    // The start above was followed by nothing: the first unclean boot. This is the second.
    host = host.reboots("again").unwrap();
    assert_eq!(first_rung(&host), generation(2));
    host = host.reboots("and again").unwrap();
    assert_eq!(first_rung(&host), generation(1));
    assert!(host.is_denied(2));
}

#[test]
fn the_ladder_ends_where_nothing_is_loaded() {
    let mut host = host(1);
    let mut seen = Vec::new();
    for start in 0..8 {
        host = host.reboots(&format!("crash {start}")).unwrap();
        seen.push(first_rung(&host));
    }
    seen.dedup();
    assert_eq!(seen, [generation(1), Rung::Baseline, Rung::Nothing]);
    // The owner starts anew.
    host.store.pardon().unwrap();
    assert_eq!(first_rung(&host), Rung::Baseline);
}

#[test]
fn killing_the_daemon_of_a_good_generation_charges_nobody() {
    let mut host = host(2);
    host.starts(None).unwrap();
    let name = host.store.boot().0.clone();
    for _ in 0..50 {
        host = host.reboots(&name).unwrap();
    }
    assert_eq!(first_rung(&host), generation(2));
}

#[test]
fn a_daemon_that_leaves_its_generation_to_the_next_charges_nobody() {
    use sensor_content::store::Phase;
    let mut host = host(2);
    host.tries(3).unwrap();
    let name = host.store.boot().0.clone();
    for _ in 0..10 {
        host.store.attempt(generation(3), Phase::Left).unwrap();
        host = host.reboots(&name).unwrap();
        assert!(start(&host.store, None).retry.is_some());
        host.retries().unwrap();
    }
    // What brings the host down while no daemon runs is charged all the same.
    host.store.attempt(generation(3), Phase::Left).unwrap();
    host = host.reboots("after the crash").unwrap();
    assert!(host.is_denied(3));
}

#[test]
fn a_journal_survives_what_is_torn_in_it() {
    use sensor_content::store::Fs;
    let mut disk = Disk::new(Medium::default(), usize::MAX);
    let mut host = Host::boots(disk.clone(), "first").unwrap();
    host.takes_back(1).unwrap();
    host.stops().unwrap();
    disk.append("journal", b"{\"time\":\"2026-").unwrap();
    let mut store = Store::open(disk, boot("second"), now()).unwrap();
    store.roll_back(id(2), None, "again", now()).unwrap();
    assert_eq!(store.history().unwrap().len(), 2);
}

#[test]
fn a_journal_that_grew_too_long_loses_its_older_part() {
    use sensor_content::{life::Generation, store::Fs};
    let mut disk = Disk::new(Medium::default(), usize::MAX);
    let mut store = Store::open(disk.clone(), boot("first"), now()).unwrap();
    let entry = |number, reason: &str| Generation::arrived(id(number), now(), reason).1;
    store.record(&[entry(1, "the oldest")]).unwrap();
    store.record(&vec![entry(2, &"long ".repeat(1000)); 1000]).unwrap();
    store.record(&[entry(3, "the newest")]).unwrap();
    assert!(disk.read("journal", usize::MAX - 1).unwrap().unwrap().len() > 4 << 20);
    let newest = |store: &Store<Disk>| store.history().unwrap().last().unwrap().reason.clone();
    assert_eq!(newest(&store), "the newest");
    disk.append("journal", b"{\"time\":\"2026-").unwrap();
    let store = Store::open(disk.clone(), boot("second"), now()).unwrap();
    assert_eq!(newest(&store), "the newest");
    let history = store.history().unwrap();
    assert!(history.len() > 10 && history[0].generation == id(2), "{}", history.len());
    assert!(disk.read("journal", usize::MAX - 1).unwrap().unwrap().len() < 1 << 20);
}

#[test]
fn what_a_key_vouched_for_is_known_as_soon_as_it_is_written_and_after_a_start() {
    use sensor_content::life::{Generation, Signed};
    let disk = Disk::new(Medium::default(), usize::MAX);
    let mut store = Store::open(disk.clone(), boot("first"), now()).unwrap();
    assert!(store.known().unwrap().is_empty());
    let seen = |time| {
        let (generation, arrived) = Generation::arrived(id(5), time, "listed");
        [arrived, generation.step::<Signed>(time, "by a key").1]
    };
    store.record(&seen(now())).unwrap();
    store.record(&seen(now() + jiff::SignedDuration::from_hours(1))).unwrap();
    let first = std::collections::BTreeMap::from([(5, now())]);
    assert_eq!(*store.known().unwrap(), first);
    assert_eq!(*Store::open(disk, boot("second"), now()).unwrap().known().unwrap(), first);
}
