//! Attacks on a repository: each is refused and said, and what was believed before is believed still.

use std::{collections::BTreeMap, fs, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    fleet::{Paced, Ramps, Seat, Standing, Wish},
    repository::{Client, ClientError, FetchError, Holder, Lifetime, Metadata, Polled},
    rollout::{HostId, Order, Ramp, Ring},
};

use crate::{
    publisher::{CONTENT, ONLINE, ROOT, World, bundle_with, days, document, founding, keys, ramp, signers},
    server::Trick,
};

/// A world whose host has seen generation 1, and then a pause.
fn seen() -> (World, Client) {
    let mut world = World::new();
    let mut host = world.host();
    host.poll(Timestamp::now()).unwrap();
    world.offers(1, 2, Order::Pause);
    host.poll(Timestamp::now()).unwrap();
    (world, host)
}

/// What is said when the attack has been refused, and nothing believed has changed; then the attacker goes,
/// and all is well.
fn refused(world: &mut World, host: &mut Client) -> String {
    let before = host.view().clone();
    let error = host.poll(Timestamp::now()).unwrap_err();
    assert_eq!(*host.view(), before, "{error}");
    // After a restart too.
    assert_eq!(*world.host().view(), before);
    world.server.behave();
    world.offers(1, 9, Order::Halt);
    assert_eq!(host.poll(Timestamp::now()).unwrap(), Polled::New);
    error.to_string()
}

fn swap(world: &World, name: &str, files: &BTreeMap<String, Vec<u8>>) {
    world.server.trick(name, Trick::Swap(files[&format!("metadata/{name}")].clone()));
}

#[test]
fn old_metadata() {
    let (mut world, mut host) = seen();
    let old = world.snapshot();
    world.offers(1, 3, Order::Halt);
    host.poll(Timestamp::now()).unwrap();
    swap(&world, "timestamp.json", &old);
    let said = refused(&mut world, &mut host);
    assert!(said.contains("timestamp") && said.contains('4'), "{said}");
}

#[test]
fn old_metadata_to_a_host_whose_library_forgot() {
    let (mut world, mut host) = seen();
    let old = world.snapshot();
    world.offers(1, 3, Order::Halt);
    host.poll(Timestamp::now()).unwrap();
    // A power cut tore what `tough` keeps: our own memory was written whole.
    fs::write(world.directory.path().join("host/tough/timestamp.json"), b"{").unwrap();
    fs::write(world.directory.path().join("host/tough/snapshot.json"), b"{").unwrap();
    swap(&world, "timestamp.json", &old);
    assert!(refused(&mut world, &mut host).contains("which was seen"));
}

#[test]
fn frozen_metadata() {
    // The publisher signs for two days; the attacker serves the same for ever.
    let (world, mut host) = seen();
    assert_eq!(host.poll(Timestamp::now() + days(1)).unwrap(), Polled::Unchanged);
    assert!(matches!(host.poll(Timestamp::now() + days(3)), Err(ClientError::Expired(_))));
    assert!(matches!(host.bundle(1, Timestamp::now() + days(3)), Err(ClientError::Expired(_))));
    assert_eq!(host.view().document.as_ref().unwrap().order, Order::Pause, "what was believed stays");
    drop(world);
    // A host that comes new to a frozen repository believes nothing.
    let past = Timestamp::now() - days(10);
    let world = World::founded(past, Lifetime::default());
    let mut host = world.host();
    let error = host.poll(Timestamp::now()).unwrap_err().to_string();
    assert!(error.to_lowercase().contains("expired"), "{error}");
    assert_eq!(host.view().document, None);
}

#[test]
fn mixed_versions() {
    let (mut world, mut host) = seen();
    let old = world.snapshot();
    world.offers(1, 3, Order::Halt);
    let new = world.snapshot();
    // The new timestamp, and under the new snapshot's name the old one.
    let name = |files: &BTreeMap<String, Vec<u8>>| {
        let of = |name: &&String| name.split('/').next_back()?.strip_suffix(".snapshot.json")?.parse::<u64>().ok();
        files.keys().filter(|name| of(name).is_some()).max_by_key(|name| of(name)).unwrap().clone()
    };
    let newest = name(&new).trim_start_matches("metadata/").to_owned();
    world.server.trick(&newest, Trick::Swap(old[&name(&old)].clone()));
    let said = refused(&mut world, &mut host);
    assert!(said.to_lowercase().contains("hash"), "{said}");
}

#[test]
fn wrong_keys() {
    let (mut world, mut host) = seen();
    // Another repository altogether, with keys of its own.
    let theirs: Vec<u8> = vec![101, 102, 103, 111, 112, 113, 121];
    let mut other = founding();
    (other.root, other.content, other.online) = (keys(&theirs[..3], 2), keys(&theirs[3..6], 2), keys(&theirs[6..], 1));
    let mut metadata = Metadata::found(&other, &signers(&theirs), Lifetime::default(), Timestamp::now()).unwrap();
    for _ in 0..20 {
        metadata.publish(b"{}", &signers(&theirs), Lifetime::default(), Timestamp::now()).unwrap();
    }
    for (name, bytes) in metadata.files().unwrap() {
        world.server.trick(&name, Trick::Swap(bytes));
    }
    let said = refused(&mut world, &mut host);
    assert!(said.contains("Signature threshold"), "{said}");
}

#[test]
fn missing_threshold() {
    let (world, mut host) = seen();
    // One content key of the two that are needed: our own tools refuse to sign.
    let mut metadata = world.metadata.clone();
    let error = metadata.add(&bundle_with(2, ""), &ramp(), &signers(&[11, 21]), Lifetime::default(), Timestamp::now());
    assert!(error.unwrap_err().to_string().contains("signatures of 2 of its keys, and 1 of them was given"));
    // An attacker's tools do not: the second signature is taken out afterwards, and all is signed over it
    // with the stolen online key.
    metadata.add(&bundle_with(2, ""), &ramp(), &signers(&[11, 12, 21]), Lifetime::default(), Timestamp::now()).unwrap();
    let files = forge(&metadata, |content| {
        content["signatures"].as_array_mut().unwrap().truncate(1);
    });
    let mut world = world;
    for (name, bytes) in files {
        world.server.trick(&name, Trick::Swap(bytes));
    }
    let said = refused(&mut world, &mut host);
    assert!(said.contains("threshold"), "{said}");
    assert_eq!(host.view().listed.len(), 1);
}

#[test]
fn endless_data() {
    for name in ["timestamp.json", "snapshot.json"] {
        let (mut world, mut host) = seen();
        world.offers(1, 3, Order::Halt);
        world.server.trick(name, Trick::Endless);
        let said = refused(&mut world, &mut host);
        assert!(said.contains("longer than"), "{said}");
    }
}

#[test]
fn slow_server() {
    let (mut world, host) = seen();
    let mut host = host.with_patience(Duration::from_millis(300));
    world.server.trick("timestamp.json", Trick::Drip);
    let said = refused(&mut world, &mut host);
    assert!(said.contains("in time"), "{said}");
}

#[test]
fn redirect() {
    let (mut world, mut host) = seen();
    world.server.trick("timestamp.json", Trick::Redirect("http://evil.invalid/".into()));
    let said = refused(&mut world, &mut host);
    assert!(said.contains("redirected to http://evil.invalid/"), "{said}");
}

#[test]
fn swapped_bundle() {
    let (world, mut host) = seen();
    let now = Timestamp::now();
    let mut other = bundle_with(1, " ").bytes().to_vec();
    world.server.trick("1.bundle", Trick::Swap(other.clone()));
    assert!(matches!(host.bundle(1, now), Err(ClientError::Refused(_))));
    other.extend(vec![0; 1 << 16]);
    world.server.trick("1.bundle", Trick::Swap(other));
    assert!(matches!(host.bundle(1, now), Err(ClientError::Refused(_))));
    world.server.trick("1.bundle", Trick::Hide);
    assert!(matches!(host.bundle(1, now), Err(ClientError::Fetch(FetchError::NotFound(_)))));
    world.server.behave();
    assert!(host.bundle(1, now).is_ok());
    host.poll(now).unwrap();
}

#[test]
fn stolen_online_key_adds_nothing() {
    let (mut world, mut host) = seen();
    // It lists a bundle under `rollout/`, and one under `content/` in the role it can sign.
    let files = forge_rollout(&world.metadata, "content/66.bundle");
    for (name, bytes) in files {
        world.server.trick(&name, Trick::Swap(bytes));
    }
    let said = refused(&mut world, &mut host);
    assert!(said.contains("content/66.bundle"), "{said}");
    assert_eq!(host.view().listed.len(), 1);
}

#[test]
fn stolen_online_key_stops_and_is_taken_away() {
    let (mut world, mut host) = seen();
    // It can stop what was offered, and count to the end, so that nothing newer could ever be believed.
    let all: Vec<u8> = [ROOT.as_slice(), &CONTENT, &ONLINE, &[22]].concat();
    let mut theirs = world.metadata.clone();
    for _ in 0..50 {
        let bytes = serde_json::to_vec(&document(1, 99, Order::Halt)).unwrap();
        theirs.publish(&bytes, &signers(&ONLINE), Lifetime::default(), Timestamp::now()).unwrap();
    }
    let bytes = serde_json::to_vec(&document(1, 99, Order::Halt)).unwrap();
    world.tree().write(&theirs, &[("rollout/current.json".into(), &bytes)]).unwrap();
    host.poll(Timestamp::now()).unwrap();
    assert_eq!(host.view().document.as_ref().unwrap().order, Order::Halt);
    // The publisher, whose versions are behind now, takes the key away with the root keys.
    world
        .metadata
        .rotate(Holder::Online, keys(&[22], 1), &signers(&all), Lifetime::default(), Timestamp::now())
        .unwrap();
    let bytes = serde_json::to_vec(&document(1, 3, Order::Offer)).unwrap();
    world.metadata.publish(&bytes, &signers(&[22]), Lifetime::default(), Timestamp::now()).unwrap();
    world.tree().write(&world.metadata, &[("rollout/current.json".into(), &bytes)]).unwrap();
    assert_eq!(host.poll(Timestamp::now()).unwrap(), Polled::New);
    assert_eq!(host.view().document.as_ref().unwrap().order, Order::Offer);
    // The thief comes back: nobody believes the key any more.
    for (name, bytes) in theirs.files().unwrap() {
        world.server.trick(&name, Trick::Swap(bytes));
    }
    assert!(host.poll(Timestamp::now()).is_err());
    assert_eq!(host.view().document.as_ref().unwrap().order, Order::Offer);
}

/// What a host that has just read the repository makes of generation 1, if its clock is right: why it waits.
fn holds(host: &Client, ramps: &mut Ramps, clock: Timestamp) -> Option<String> {
    let seat = Seat { host: HostId([7; 16]), ring: Ring::General, hangs: false };
    ramps.learns(seat, host.issued(), host.view().releases());
    ramps.passes(SignedDuration::ZERO, clock);
    ramps.waits(host.view().listed[&1].id).map(|waits| waits.to_string())
}

#[test]
fn stolen_online_key_offers_to_everybody_at_once() {
    let (mut world, mut host) = seen();
    let now = Timestamp::now();
    // The document is signed as it must be, and is believed: but the content keys have signed how fast at most.
    world.offers(1, 99, Order::Offer);
    assert_eq!(host.poll(now).unwrap(), Polled::New);
    let document = host.view().document.clone().unwrap();
    let Paced::Signed(pace) = &host.view().paces[&1] else { panic!("{:?}", host.view().paces) };
    assert_eq!(pace.ramp, ramp());
    let standing = Standing { host: HostId([7; 16]), ring: Ring::General, kernel: "6.1", hangs: false, running: 0 };
    assert_eq!(standing.wish(&document, &[1]), Wish::Take(vec![1]));
    let mut ramps = Ramps::default();
    let said = holds(&host, &mut ramps, now).unwrap();
    assert!(said.contains("the content keys allow it on this host (ring general) from"), "{said}");
    // It signs that a month has passed: this host's clock does not say so.
    let month = now + days(30);
    let bytes = serde_json::to_vec(&document).unwrap();
    let forever = Lifetime { timestamp: days(4000), rollout: days(4000), ..Lifetime::default() };
    let mut theirs = world.metadata.clone();
    theirs.publish(&bytes, &signers(&ONLINE), forever, month).unwrap();
    world.tree().write(&theirs, &[("rollout/current.json".into(), &bytes)]).unwrap();
    host.poll(now).unwrap();
    assert_eq!(host.issued().unwrap(), Timestamp::from_second(month.as_second()).unwrap());
    let said = holds(&host, &mut ramps, now).unwrap();
    assert!(said.contains("the content keys allow it"), "{said}");
    // Days later the ramp has come to this host.
    assert_eq!(holds(&host, &mut ramps, now + days(4)), None);
}

#[test]
fn stolen_online_key_signs_no_faster_ramp() {
    let mut world = seen().0;
    let everybody = "hanging = \"1s\"\n[[step]]\nafter = \"0s\"\nopen = {}\n[[step]]\nafter = \"1s\"\nopen = { early = \"100%\", \
                     general = \"100%\", late = \"100%\" }\n";
    let everybody = Ramp::parse(everybody).unwrap();
    let (lifetime, now) = (Lifetime::default(), Timestamp::now());
    let alone = world.metadata.clone().set_ramp(1, &everybody, &signers(&[11, 21]), lifetime, now).unwrap_err();
    assert!(
        alone.to_string().contains("`content` needs signatures of 2 of its keys, and 1 of them was given"),
        "{alone}"
    );
    // Changed by hand, and all above signed anew with the stolen key.
    let step = serde_json::to_value(&everybody).unwrap();
    for (name, bytes) in forge(&world.metadata, |content| {
        content["signed"]["targets"]["content/1.bundle"]["custom"]["pace"]["ramp"] = step;
    }) {
        world.server.trick(&name, Trick::Swap(bytes));
    }
    fs::remove_dir_all(world.directory.path().join("host")).unwrap();
    let mut host = world.host();
    let said = host.poll(now).unwrap_err().to_string();
    assert!(said.contains("threshold"), "{said}");
    world.server.behave();
    // Two of the content keys do it, in an emergency: it counts from the first publication.
    let before = world.metadata.pace(1).unwrap().unwrap();
    let pace = world.metadata.set_ramp(1, &everybody, &signers(&[11, 13, 21]), lifetime, now + days(1)).unwrap();
    assert_eq!(pace.published, before.published);
    world.tree().write(&world.metadata, &[]).unwrap();
    host.poll(now + days(1)).unwrap();
    assert_eq!(holds(&host, &mut Ramps::default(), now + days(1)), None);
}

#[test]
fn nonsense_in_one_ramp_stops_that_release_and_nothing_else() {
    let mut world = World::new();
    let mut host = world.host();
    // A later version of creance has signed something that this one does not know.
    let content = ["signed", "targets", "content/1.bundle", "custom", "pace", "ramp", "moons"];
    let files = forged(&world.metadata, "content", |value| set_and_sign(value, &content), |_| {});
    for (name, bytes) in files {
        world.server.trick(&name, Trick::Swap(bytes));
    }
    host.poll(Timestamp::now()).unwrap();
    assert!(host.view().document.is_some());
    let said = holds(&host, &mut Ramps::default(), Timestamp::now() + days(99)).unwrap();
    assert!(said.contains("unknown field `moons`") && said.contains("update creance"), "{said}");
    world.server.behave();
    world.metadata.set_ramp(1, &ramp(), &signers(&[11, 13, 21]), Lifetime::default(), Timestamp::now()).unwrap();
    world.offers(1, 9, Order::Revoke);
    host.poll(Timestamp::now()).unwrap();
    assert_eq!(host.view().document.as_ref().unwrap().order, Order::Revoke);
}

/// Sets a member to 1, and signs with two content keys.
fn set_and_sign(value: &mut serde_json::Value, path: &[&str]) {
    let member = path.iter().fold(&mut *value, |value, name| &mut value[*name]);
    *member = 1.into();
    let message = serde_json::to_vec(&value["signed"]).unwrap();
    // In the order in which `add` got them.
    for (signature, seed) in value["signatures"].as_array_mut().unwrap().iter_mut().zip([11, 13]) {
        let signed = crate::publisher::key(seed).sign(&message);
        signature["sig"] = signed.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")).into();
    }
}

#[test]
fn a_missing_role() {
    let (mut world, mut host) = seen();
    // `tough` lets a snapshot pass to a new host that leaves a delegated role out; we do not.
    fs::remove_dir_all(world.directory.path().join("host")).unwrap();
    let mut fresh = world.host();
    let files = without_rollout(&world.metadata);
    for (name, bytes) in files {
        world.server.trick(&name, Trick::Swap(bytes));
    }
    let said = fresh.poll(Timestamp::now()).unwrap_err().to_string();
    assert!(said.contains("is missing"), "{said}");
    world.server.behave();
    world.offers(1, 9, Order::Halt);
    host.poll(Timestamp::now()).unwrap();
}

/// The metadata with `content` changed by hand, and everything above signed again with the stolen online key.
fn forge(metadata: &Metadata, change: impl FnOnce(&mut serde_json::Value)) -> Vec<(String, Vec<u8>)> {
    forged(metadata, "content", change, |_| {})
}

fn forge_rollout(metadata: &Metadata, name: &str) -> Vec<(String, Vec<u8>)> {
    let mut metadata = metadata.clone();
    metadata.publish(b"{}", &signers(&ONLINE), Lifetime::default(), Timestamp::now()).unwrap();
    forged(
        &metadata,
        "rollout",
        |rollout| {
            let target = rollout["signed"]["targets"]["rollout/current.json"].clone();
            rollout["signed"]["targets"][name] = target;
            sign(rollout);
        },
        |_| {},
    )
}

fn without_rollout(metadata: &Metadata) -> Vec<(String, Vec<u8>)> {
    forged(
        metadata,
        "content",
        |_| {},
        |snapshot| {
            snapshot["signed"]["meta"].as_object_mut().unwrap().remove("rollout.json");
        },
    )
}

fn forged(
    metadata: &Metadata,
    role: &str,
    change: impl FnOnce(&mut serde_json::Value),
    change_snapshot: impl FnOnce(&mut serde_json::Value),
) -> Vec<(String, Vec<u8>)> {
    let mut files = metadata.files().unwrap();
    let at = |files: &[(String, Vec<u8>)], word: &str| files.iter().position(|(name, _)| name.contains(word)).unwrap();
    let index = at(&files, &format!(".{role}.json"));
    let mut value: serde_json::Value = serde_json::from_slice(&files[index].1).unwrap();
    change(&mut value);
    files[index].1 = serde_json::to_vec(&value).unwrap();
    let meta = |bytes: &[u8], old: &serde_json::Value| {
        let digest = sensor_content::digest::Digest::of(bytes).to_string();
        serde_json::json!({"length": bytes.len(), "hashes": {"sha256": digest}, "version": old["version"]})
    };
    let snapshot = at(&files, ".snapshot.json");
    let mut value: serde_json::Value = serde_json::from_slice(&files[snapshot].1).unwrap();
    let name = format!("{role}.json");
    value["signed"]["meta"][&name] = meta(&files[index].1, &value["signed"]["meta"][&name]);
    change_snapshot(&mut value);
    sign(&mut value);
    files[snapshot].1 = serde_json::to_vec(&value).unwrap();
    let timestamp = at(&files, "timestamp.json");
    let mut value: serde_json::Value = serde_json::from_slice(&files[timestamp].1).unwrap();
    let old = value["signed"]["meta"]["snapshot.json"].clone();
    value["signed"]["meta"]["snapshot.json"] = meta(&files[snapshot].1, &old);
    sign(&mut value);
    files[timestamp].1 = serde_json::to_vec(&value).unwrap();
    files
}

/// Signs with the online key. `serde_json` sorts members and writes no blanks, which is the canonical form of
/// what is here.
fn sign(value: &mut serde_json::Value) {
    let key = crate::publisher::key(ONLINE[0]);
    let message = serde_json::to_vec(&value["signed"]).unwrap();
    let signature = key.sign(&message).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    value["signatures"][0]["sig"] = signature.into();
}
