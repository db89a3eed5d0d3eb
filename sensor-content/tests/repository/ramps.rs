//! Attacks on the fastest ramp that the content keys sign.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    fleet::{Paced, Ramps, Seat, Standing, Wish},
    repository::{Client, Lifetime, Polled},
    rollout::{HostId, Order, Ramp, Ring},
};

use crate::{
    attacks::{forge, forged, seen},
    publisher::{ONLINE, World, days, ramp, signers},
    server::Trick,
};

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
