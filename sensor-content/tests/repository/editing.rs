//! What a publisher does to a repository.

use std::fs;

use jiff::Timestamp;
use sensor_content::{
    digest::Digest,
    repository::{EditError, Holder, Lifetime, Metadata, Role, Tree, TreeError},
    rollout::Order,
};

use crate::publisher::{
    CONTENT, ONLINE, ROOT, World, bundle, bundle_with, days, document, founding, keys, ramp, signers,
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn all() -> Vec<u8> {
    [ROOT.as_slice(), &CONTENT, &ONLINE].concat()
}

#[test]
fn the_same_keys_and_moment_give_the_same_bytes() {
    let make = || {
        let mut metadata = Metadata::found(&founding(), &signers(&all()), Lifetime::default(), NOW).unwrap();
        metadata.add(&bundle(1), &ramp(), &signers(&[11, 13, 21]), Lifetime::default(), NOW).unwrap();
        let document = serde_json::to_vec(&document(1, 1, Order::Offer)).unwrap();
        metadata.publish(&document, &signers(&ONLINE), Lifetime::default(), NOW).unwrap();
        metadata.files().unwrap()
    };
    let files = make();
    assert_eq!(files, make());
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["1.root.json", "1.targets.json", "2.content.json", "2.rollout.json", "3.snapshot.json", "timestamp.json"];
    assert_eq!(names, expected);
    // A change of these bytes is a change of what every host must read.
    let root = String::from_utf8(files[0].1.clone()).unwrap();
    assert!(root.contains(r#""consistent_snapshot":true,"expires":"2028-01-15T08:00:00Z""#), "{root}");
    assert_eq!(Digest::of(&files[0].1).short(), "c703ff11356e");
}

#[test]
fn adding_twice_changes_nothing_and_a_number_is_used_once() {
    let world = World::new();
    let mut metadata = world.metadata.clone();
    let keys = signers(&[11, 12, 21]);
    assert!(!metadata.add(&bundle(1), &ramp(), &keys, Lifetime::default(), NOW).unwrap());
    assert_eq!(metadata.files().unwrap(), world.metadata.files().unwrap());
    let taken = metadata.add(&bundle_with(1, " "), &ramp(), &keys, Lifetime::default(), NOW);
    assert!(matches!(taken, Err(EditError::Taken(1))));
}

#[test]
fn keys_belong_to_one_holder_and_thresholds_can_be_met() {
    let mut shared = founding();
    shared.online = keys(&[11], 1);
    let error = Metadata::found(&shared, &signers(&all()), Lifetime::default(), NOW).unwrap_err();
    assert!(error.to_string().contains("a content key is a online key too"), "{error}");
    let mut twice = founding();
    twice.content = keys(&[11, 11], 2);
    let error = Metadata::found(&twice, &signers(&all()), Lifetime::default(), NOW).unwrap_err();
    assert!(error.to_string().contains("2 of 1 content keys"), "{error}");
    let error = Metadata::found(&founding(), &signers(&[1, 11, 12, 21]), Lifetime::default(), NOW).unwrap_err();
    assert!(error.to_string().contains("`root` needs signatures of 2"), "{error}");
}

#[test]
fn keys_are_rotated_and_a_host_follows_the_whole_way() {
    let mut world = World::new();
    let mut late = world.host();
    late.poll(Timestamp::now()).unwrap();
    let every: Vec<u8> = [all().as_slice(), &[4, 5, 14, 15, 22]].concat();
    for (holder, new) in [
        (Holder::Root, keys(&[3, 4, 5], 3)),
        (Holder::Content, keys(&[13, 14, 15], 1)),
        (Holder::Online, keys(&[22], 1)),
    ] {
        let before = world.metadata.clone();
        // Without the old root keys nothing happens.
        let error = world.metadata.rotate(holder, new.clone(), &signers(&[4, 5, 14, 15, 22]), Lifetime::default(), NOW);
        assert!(matches!(error, Err(EditError::Keys { .. })), "{error:?}");
        assert_eq!(world.metadata.files().unwrap(), before.files().unwrap());
        world.metadata.rotate(holder, new, &signers(&every), Lifetime::default(), Timestamp::now()).unwrap();
        world.tree().write(&world.metadata, &[]).unwrap();
    }
    assert_eq!(world.metadata.keys(Holder::Root).unwrap().1, 3);
    late.poll(Timestamp::now()).unwrap();
    // One of the new content keys suffices now, and the old ones do not count.
    let add = |keys: &[u8], metadata: &mut Metadata| {
        metadata.add(&bundle(2), &ramp(), &signers(keys), Lifetime::default(), Timestamp::now()).map(drop)
    };
    assert!(add(&[11, 12, 22], &mut world.metadata).is_err());
    assert!(add(&[14, 21], &mut world.metadata).is_err());
    add(&[14, 22], &mut world.metadata).unwrap();
    world.tree().write(&world.metadata, &[("content/2.bundle".into(), bundle(2).bytes())]).unwrap();
    late.poll(Timestamp::now()).unwrap();
    assert_eq!(late.view().listed.len(), 2);
}

#[test]
fn what_expires_is_renewed_where_the_keys_are_there() {
    let world = World::new();
    let mut metadata = world.metadata.clone();
    let now = Timestamp::now();
    assert_eq!(metadata.renew(days(1), &signers(&ONLINE), Lifetime::default(), now).unwrap(), []);
    assert_eq!(metadata.renew(days(3), &signers(&ONLINE), Lifetime::default(), now).unwrap(), [Role::Timestamp]);
    let later = now + days(40);
    let renewed = metadata.renew(days(3), &signers(&ONLINE), Lifetime::default(), later).unwrap();
    assert_eq!(renewed, [Role::Rollout, Role::Snapshot, Role::Timestamp]);
    let later = now + days(364);
    let renewed = metadata.renew(days(30), &signers(&all()), Lifetime::default(), later).unwrap();
    assert_eq!(renewed, Role::ALL);
    metadata.verify().unwrap();
}

#[test]
fn a_write_that_was_cut_off_leaves_the_old_repository() {
    let mut world = World::new();
    let mut host = world.host();
    host.poll(Timestamp::now()).unwrap();
    let before = fs::read(world.repo().join("metadata/timestamp.json")).unwrap();
    world.offers(1, 2, Order::Pause);
    // Everything is there but the last file.
    fs::write(world.repo().join("metadata/timestamp.json"), &before).unwrap();
    assert_eq!(world.tree().read().unwrap().versions()[5], world.metadata.versions()[5].min((Role::Timestamp, 3)));
    // The publisher does it again.
    world.metadata = world.tree().read().unwrap();
    world.offers(1, 2, Order::Halt);
    host.poll(Timestamp::now()).unwrap();
    assert_eq!(host.view().document.as_ref().unwrap().order, Order::Halt);
}

#[test]
fn one_command_at_a_time_and_no_forged_files() {
    let world = World::new();
    let held = world.tree();
    assert!(matches!(Tree::open(&world.repo()), Err(TreeError::Busy(_))));
    drop(held);
    let path = world.repo().join("metadata/2.content.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"routine\"", "\"urgent\"");
    fs::write(&path, text).unwrap();
    assert!(matches!(world.tree().read(), Err(TreeError::Edit(EditError::Tuf(_)))));
}
