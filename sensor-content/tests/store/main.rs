//! The store, with its power cut at every operation, and with generations that harm their host.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(missing_docs, reason = "a test")]

mod disk;
mod host;
mod ladder;

use std::collections::BTreeSet;

use disk::{Disk, Medium};
use host::{Host, id, keys, start};
use sensor_content::{
    life::Id,
    store::{Rung, Store, Switch},
};

/// Different fates of what was not synced, for each operation.
const FATES: u64 = 6;

/// What is known of a host when its power is cut.
#[derive(Clone, Default)]
struct Known {
    /// Good generations before and after each step that may be under way.
    good: Vec<Vec<Id>>,
    /// Denied for certain.
    denied: Vec<Id>,
    /// About to be loaded for the first time, for certain.
    loading: Option<Id>,
}

/// A host's life: six generations come, one crashes the host, one is taken back by the owner.
fn life(disk: Disk, known: &mut Known) -> std::io::Result<()> {
    let mut host = Host::boots(disk, "boot 1")?;
    for number in 1..=4 {
        known.good.push(host.good());
        host.tries(number)?;
        host.settles()?;
        host.stops()?;
        host = host.reboots(&format!("boot after {number}"))?;
        host.retries()?;
        known.good.push(std::iter::once(id(number)).chain(host.good()).take(3).collect());
        host.promotes()?;
    }
    // It is about to be loaded, and the host goes down.
    host.keeps(5)?;
    known.loading = host.loads(5).map(|()| Some(id(5)))?;
    host = host.reboots("boot after the crash")?;
    known.loading = None;
    known.denied.push(id(5));
    assert!(host.is_denied(5));
    host.starts(None)?;
    known.good.push(host.good()[1..].to_vec());
    host.takes_back(4)?;
    known.denied.push(id(4));
    host.tries(6)?;
    host.settles()?;
    host.stops()
}

/// The host starts after the cut: everything that is certain still holds, and it goes on living.
fn comes_back(medium: Medium, known: &Known, cuts: u32, what: &str) {
    let disk = Disk::new(medium, usize::MAX);
    let mut host = Host::boots(disk, "after the cut").unwrap();
    assert_eq!(host.store.damage(), <[String; 0]>::default(), "{what}");
    let mut recent = known.good[known.good.len().saturating_sub(2)..].to_vec();
    if cuts == 2 {
        // Two unclean starts in a row are charged to the good generation that ran.
        recent.extend(recent.clone().iter().filter_map(|good| good.get(1..).map(<[Id]>::to_vec)));
    }
    assert!(recent.is_empty() || recent.contains(&host.good()), "{what}: {:?} is neither of {recent:?}", host.good());
    for denied in known.denied.iter().chain(&known.loading) {
        assert!(host.store.memory().denial(*denied).is_some(), "{what}: {denied} is not denied");
    }
    let start = start(&host.store, None);
    for rung in &start.rungs {
        if let Rung::Generation(id) = rung {
            host.store.bundle(*id, &keys()).unwrap_or_else(|error| panic!("{what}: {id}: {error}"));
            assert!(host.store.memory().denial(*id).is_none(), "{what}: {id} is denied and would be started");
        }
    }
    if let Some(trial) = &start.retry {
        host.store.bundle(trial.id, &keys()).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    assert_eq!(start.rungs.last(), Some(&Rung::Nothing));
    host.tries(7).unwrap();
    host.settles().unwrap();
    host.stops().unwrap();
    host = host.reboots("the next").unwrap();
    host.retries().unwrap();
    host.promotes().unwrap();
    assert_eq!(host.good()[0], id(7), "{what}");
}

#[test]
fn a_power_cut_at_any_operation_leaves_a_host_that_starts() {
    let whole = Disk::new(Medium::default(), usize::MAX);
    life(whole.clone(), &mut Known::default()).unwrap();
    let operations = *whole.done.borrow();
    let mut points = 0;
    for cut in 1..=operations {
        let disk = Disk::new(Medium::default(), cut);
        let mut known = Known::default();
        assert!(life(disk.clone(), &mut known).is_err());
        for fate in 0..FATES {
            let mut random = fastrand::Rng::with_seed(cut as u64 * FATES + fate);
            let medium = disk.medium().after_cut(&mut random);
            comes_back(medium.clone(), &known, 1, &format!("cut {cut}, fate {fate}"));
            points += 1;
            // And a second cut, while it comes back from the first.
            let again = Disk::new(medium, 1 + random.usize(0..12));
            let _ = Host::boots(again.clone(), "cut again");
            comes_back(again.medium().after_cut(&mut random), &known, 2, &format!("cut {cut}, fate {fate}, cut again"));
            points += 1;
        }
    }
    println!("{operations} operations, {points} power cuts");
    assert!(points >= 500, "{points}");
}

#[test]
fn the_model_of_a_disk_would_show_a_store_that_forgets_to_sync() {
    use sensor_content::store::Fs;
    let outcomes = |synced: bool| {
        let mut disk = Disk::new(Medium::default(), usize::MAX);
        disk.create("x", b"old").unwrap();
        disk.sync("x").unwrap();
        disk.sync_directory().unwrap();
        disk.create("x.new", b"new").unwrap();
        if synced {
            disk.sync("x.new").unwrap();
        }
        disk.rename("x.new", "x").unwrap();
        let found = |seed| {
            let medium = disk.medium().after_cut(&mut fastrand::Rng::with_seed(seed));
            Disk::new(medium, 1).read("x", 100).unwrap()
        };
        (0..200).map(found).collect::<BTreeSet<_>>()
    };
    let whole = [Some(b"new".to_vec()), Some(b"old".to_vec())];
    assert_eq!(outcomes(true), whole.clone().into());
    assert!(outcomes(false).len() > whole.len());
}

#[test]
fn a_damaged_state_is_put_aside_and_the_baseline_starts() {
    let disk = Disk::new(Medium::default(), usize::MAX);
    life(disk.clone(), &mut Known::default()).unwrap();
    {
        use sensor_content::store::Fs;
        disk.clone().create("state", b"{}").unwrap();
    }
    let store = Store::open(disk, host::boot("later"), host::now()).unwrap();
    assert!(store.damage()[0].contains("state.damaged"));
    assert_eq!(start(&store, None).rungs, [Rung::Baseline, Rung::Nothing]);
    assert_eq!(start(&store, Some(Switch::Off)).rungs, [Rung::Nothing]);
}

#[test]
fn a_full_disk_keeps_no_host_from_starting_and_is_said() {
    use sensor_content::store::Fs;
    let disk = Disk::new(Medium::default(), usize::MAX);
    let mut host = Host::boots(disk.clone(), "boot 1").unwrap();
    host.tries(1).unwrap();
    host.settles().unwrap();
    host.stops().unwrap();
    let mut host = host.reboots("boot 2").unwrap();
    host.retries().unwrap();
    host.settles().unwrap();
    host.promotes().unwrap();
    assert_eq!(host.good(), [id(1)]);
    // The host goes down while generation 2 is loaded, and leaves half a line and half a file.
    host.tries(2).unwrap();
    disk.clone().append("journal", b"{\"half").unwrap();
    disk.clone().create("state.new", b"half").unwrap();
    *disk.full.borrow_mut() = true;
    for boot in ["boot 3", "boot 4"] {
        let store = Store::open(disk.clone(), host::boot(boot), host::now()).unwrap();
        let said = store.damage().join("\n");
        assert!(said.contains("the journal cannot be written") && said.contains("held against"), "{said}");
        assert_eq!(start(&store, None).rungs[0], Rung::Generation(id(1)), "{boot}");
    }
    *disk.full.borrow_mut() = false;
    let store = Store::open(disk, host::boot("boot 5"), host::now()).unwrap();
    assert!(store.damage().is_empty() && store.memory().denial(id(2)).is_some());
}
