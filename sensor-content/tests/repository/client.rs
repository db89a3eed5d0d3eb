//! What a host believes when all is well, and when the world is only clumsy.

use std::{fs, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    repository::{Client, ClientError, Files, Holder, Http, Lifetime, Polled},
    rollout::Order,
};

use crate::{
    publisher::{CONTENT, ONLINE, ROOT, World, bundle, days, keys, signers},
    server::Trick,
};

#[test]
fn one_request_says_that_nothing_has_changed() {
    let mut world = World::new();
    let mut host = world.host();
    let now = Timestamp::now();
    assert_eq!(host.poll(now).unwrap(), Polled::New);
    assert_eq!(host.view().document.as_ref().unwrap().release, 1);
    assert_eq!(host.view().listed.keys().collect::<Vec<_>>(), [&1]);
    world.server.log();
    assert_eq!(host.poll(now).unwrap(), Polled::Unchanged);
    assert_eq!(world.server.log(), ["metadata/timestamp.json 304 0"]);
    // After a restart too.
    let mut host = world.host();
    assert_eq!(host.view().document.as_ref().unwrap().release, 1);
    assert_eq!(host.poll(now).unwrap(), Polled::Unchanged);
    assert_eq!(world.server.log(), ["metadata/timestamp.json 304 0"]);
    world.offers(1, 2, Order::Pause);
    assert_eq!(host.poll(now).unwrap(), Polled::New);
    assert_eq!(host.view().document.as_ref().unwrap().order, Order::Pause);
    // What has not changed, `targets` and `content`, is not asked for again.
    let log = world.server.log();
    assert_eq!(log.len(), 5, "{log:?}");
    assert!(!log.iter().any(|line| line.contains("targets.json") || line.contains("content.json")), "{log:?}");
}

#[test]
fn a_bundle_is_what_the_publisher_signed_and_goes_on_where_it_broke_off() {
    let world = World::new();
    let mut host = world.host();
    let now = Timestamp::now();
    host.poll(now).unwrap();
    world.server.trick("1.bundle", Trick::Break(300));
    assert!(matches!(host.bundle(1, now), Err(ClientError::Fetch(_))));
    world.server.log();
    assert_eq!(host.bundle(1, now).unwrap(), bundle(1).bytes());
    let log = world.server.log();
    assert!(log.iter().any(|line| line.contains("1.bundle 206") && line.ends_with("from 300")), "{log:?}");
    assert!(host.bundle(2, now).unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn a_beginning_of_something_else_is_thrown_away() {
    let world = World::new();
    let mut host = world.host();
    let now = Timestamp::now();
    host.poll(now).unwrap();
    world.server.trick("1.bundle", Trick::Break(300));
    host.bundle(1, now).unwrap_err();
    let cache = world.directory.path().join("host/cache");
    let part = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let part = part.filter(|path| path.to_str().unwrap().contains("part-")).collect::<Vec<_>>();
    fs::write(&part[0], [0; 300]).unwrap();
    assert!(matches!(host.bundle(1, now), Err(ClientError::Refused(_))));
    assert_eq!(host.bundle(1, now).unwrap(), bundle(1).bytes());
}

#[test]
fn a_mirror_answers_where_the_first_address_does_not() {
    let world = World::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addresses = [format!("http://{closed}"), world.server.address()];
    let mut host = world.host_by(Arc::new(Http::new(&addresses, None).unwrap()));
    assert_eq!(host.poll(Timestamp::now()).unwrap(), Polled::New);
}

#[test]
fn a_proxy_is_asked_instead() {
    let world = World::new();
    // A proxy is asked with the whole address, which this server does not look at.
    let proxy = world.server.address();
    let mut host = world.host_by(Arc::new(Http::new(&["http://nowhere.invalid/".into()], Some(&proxy)).unwrap()));
    let asked = host.poll(Timestamp::now());
    let log = world.server.log();
    assert!(log.iter().any(|line| line.contains("nowhere.invalid")), "{asked:?} {log:?}");
}

#[test]
fn a_clock_that_was_ahead_and_is_right_again_stops_nothing() {
    let mut world = World::new();
    let mut host = world.host();
    host.poll(Timestamp::now()).unwrap();
    // As `tough` leaves it on a host whose clock was 48 hours ahead.
    let ahead = Timestamp::now() + SignedDuration::from_hours(48);
    let known = world.directory.path().join("host/looked-at/latest_known_time.json");
    fs::write(&known, serde_json::to_vec(&ahead).unwrap()).unwrap();
    world.offers(1, 2, Order::Pause);
    assert_eq!(host.poll(Timestamp::now()).unwrap(), Polled::New);
    // And versions protect as before.
    let old = world.snapshot();
    world.offers(1, 3, Order::Pause);
    host.poll(Timestamp::now()).unwrap();
    world.server.trick("timestamp.json", Trick::Swap(old["metadata/timestamp.json"].clone()));
    assert!(matches!(host.poll(Timestamp::now()), Err(ClientError::Refused(_))));
}

#[test]
fn a_clock_that_is_behind_makes_nothing_old_fresh() {
    // Signed ten days ago, for five days.
    let lifetime = Lifetime { timestamp: days(5), ..Lifetime::default() };
    let mut world = World::founded(Timestamp::now(), lifetime);
    let mut host = world.host();
    host.poll(Timestamp::now()).unwrap();
    // The clock falls back by years: the newest signature says that it is later.
    let fallen = Timestamp::now() - days(2000);
    assert!(host.fresh(fallen).is_ok(), "it was signed just now");
    assert!(host.fresh(Timestamp::now() + days(6)).is_err());
    world.offer(&crate::publisher::document(1, 2, Order::Pause), Timestamp::now() + days(6), lifetime);
    host.poll(Timestamp::now()).unwrap();
    assert!(host.fresh(fallen).is_ok());
}

#[test]
fn an_exported_tree_is_a_repository() {
    let world = World::new();
    let to = world.directory.path().join("usb");
    assert_eq!(world.tree().export(&to, Timestamp::now()).unwrap(), 1);
    let mut host = world.host_by(Arc::new(Files::new(to.clone())));
    assert_eq!(host.poll(Timestamp::now()).unwrap(), Polled::New);
    assert_eq!(host.bundle(1, Timestamp::now()).unwrap(), bundle(1).bytes());
    assert!(world.tree().export(&to, Timestamp::now()).is_err(), "it is there already");
    assert!(!to.join(".lock").exists() && !to.join(".check").exists());
}

#[test]
fn damage_on_disk_is_survived() {
    let world = World::new();
    world.host().poll(Timestamp::now()).unwrap();
    fs::write(world.directory.path().join("host/seen"), b"torn").unwrap();
    fs::write(world.directory.path().join("host/tough/timestamp.json"), b"{").unwrap();
    for entry in fs::read_dir(world.directory.path().join("host/cache")).unwrap() {
        fs::write(entry.unwrap().path(), b"torn").unwrap();
    }
    let mut host = world.host();
    // The cache is not believed, and is empty the next time.
    let first = host.poll(Timestamp::now());
    assert!(first.is_ok() || host.poll(Timestamp::now()).is_ok());
}

#[test]
fn another_root_of_the_owner_begins_anew_and_the_same_one_does_not() {
    let mut world = World::new();
    let every: Vec<u8> = [ROOT.as_slice(), &CONTENT, &ONLINE, &[4, 5]].concat();
    let (now, lifetime) = (Timestamp::now(), Lifetime::default());
    world.metadata.rotate(Holder::Root, keys(&[3, 4, 5], 2), &signers(&every), lifetime, now).unwrap();
    world.tree().write(&world.metadata, &[]).unwrap();
    world.add(2, now, lifetime);
    world.host().poll(now).unwrap();
    // Founded anew, elsewhere: all counts from 1 again.
    let other = World::founded(now, Lifetime { root: days(100), ..lifetime });
    let root =
        |of: &World, version: u64| fs::read_to_string(of.repo().join(format!("metadata/{version}.root.json"))).unwrap();
    let open = |from: &World, root: &str| {
        let fetch = Arc::new(Http::new(&[from.server.address()], None).unwrap());
        Client::open(fetch, root, world.directory.path().join("host"))
    };
    assert!(matches!(open(&world, "no root"), Err(ClientError::Root(_))));
    for version in [1, 2] {
        let host = open(&world, &root(&world, version)).unwrap();
        assert!(!host.began_anew() && host.view().listed.len() == 2, "root {version} is the one that it follows");
    }
    let mut host = open(&other, &root(&other, 1)).unwrap();
    assert!(host.began_anew() && host.view().listed.is_empty());
    host.poll(now).unwrap();
    assert_eq!(host.view().listed.len(), 1);
    let again = open(&other, &root(&other, 1)).unwrap();
    assert!(!again.began_anew() && again.view().listed.len() == 1);
}
