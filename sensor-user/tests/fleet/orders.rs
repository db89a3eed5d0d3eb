//! What one host makes of what it is told: by files, without servers.

use sensor_content::{
    fleet::Arm,
    rollout::{Document, Order, Plan, Ring, Share, Signal, Slice},
};

use crate::{host::Host, world::World};

/// A world with one host, release 1 on it and good, and release 2 in the repository.
fn world() -> World {
    let mut world = World::new();
    world.release(1, "good");
    publish(&world, &document(1, Order::Offer));
    let policy = world.policy(&format!("file://{}", world.path("repo").display()));
    world.host(Ring::General, "6.1", &policy).boot();
    live(&mut world, "it takes release 1", |host| host.running() == 1);
    world.hosts[0].end(true);
    world.hosts[0].boot();
    live(&mut world, "it is good", |host| host.good() == [1]);
    world.release(2, "better");
    world
}

fn document(release: u64, order: Order) -> Document {
    Document { release, order, hanging: true, offers: Plan::everything(), ..Document::default() }
}

/// As `creance rollout` does, without a plan.
fn publish(world: &World, document: &Document) {
    use sensor_content::repository::{DOCUMENT, Lifetime, Signers, Tree};
    let tree = Tree::open(&world.path("repo")).unwrap();
    let mut metadata = tree.read().unwrap();
    let key = sensor_user::host::places::private_key(&world.path("keys/online.key")).unwrap();
    let bytes = serde_json::to_vec(document).unwrap();
    metadata.publish(&bytes, &Signers::new(vec![key]), Lifetime::default(), jiff::Timestamp::now()).unwrap();
    tree.write(&metadata, &[(DOCUMENT.into(), &bytes)]).unwrap();
}

/// The host lives, and somebody reads its figures, until the condition holds.
fn live(world: &mut World, what: &str, holds: impl Fn(&Host) -> bool) {
    let scrape = &mut |world: &World| drop(world.hosts[0].scrape());
    world.live(what, scrape, |world| holds(&world.hosts[0]));
}

#[test]
fn offers_halts_and_revocations_are_obeyed_also_without_a_road_to_the_repository() {
    let mut world = world();
    publish(&world, &document(2, Order::Halt));
    live(&mut world, "it knows of the halt", |host| host.order() == Some((2, Order::Halt)));
    assert_eq!(world.hosts[0].running(), 1);
    publish(&world, &document(2, Order::Offer));
    live(&mut world, "it takes release 2", |host| host.running() == 2);
    let figures = world.hosts[0].scrape();
    let labels = r#"{arm="treated",kernel="6.1",release="2",ring="general",stage="0"}"#;
    assert!(figures.contains(&format!("creance_rollout_age_seconds{labels}")), "{figures}");
    // A reboot: it is on probation, and tried again when the host is up.
    world.hosts[0].end(true);
    world.hosts[0].start();
    live(&mut world, "it is tried again", |host| host.running() == 2);
    publish(&world, &document(2, Order::Revoke));
    live(&mut world, "it is back", |host| host.running() == 1);
    assert!(world.hosts[0].history(2).contains(&"rolled back".to_owned()));
    let figures = world.hosts[0].scrape();
    assert!(figures.lines().any(|line| line.contains(r#""rolled_back""#) && line.ends_with(" 1")), "{figures}");
    // The repository is gone; what was read last holds, and the revoked one does not come back.
    std::fs::rename(world.path("repo"), world.path("gone")).unwrap();
    world.hosts[0].end(true);
    world.hosts[0].start();
    live(&mut world, "it knows from its disk", |host| {
        host.order() == Some((2, Order::Revoke)) && host.fleet().unwrap().trouble.is_some()
    });
    assert_eq!(world.hosts[0].running(), 1);
}

/// The content keys sign this ramp for release 2.
fn sign_ramp(world: &World, ramp: &str) -> String {
    let keys = "--key keys/content1.key --key keys/content2.key --key keys/online.key";
    world.creance(&format!("repo ramp repo 2 --ramp {ramp} {keys}"))
}

#[test]
fn an_offer_to_everybody_at_once_waits_for_what_the_content_keys_allow() {
    let mut world = world();
    let said = sign_ramp(&world, "routine");
    assert!(said.contains("generation 2: published first at") && said.contains("after 70h"), "{said}");
    // Who stole the online key offers it to all.
    publish(&world, &document(2, Order::Offer));
    live(&mut world, "it says why not", |host| {
        host.fleet()
            .is_some_and(|fleet| fleet.doing.contains("the content keys allow it on this host (ring general) from"))
    });
    assert_eq!(world.hosts[0].running(), 1);
    let status = world.hosts[0].fleet().unwrap().to_string();
    assert!(status.contains("\ncontent keys generation 2") && status.contains("more of its own uptime"), "{status}");
    // After a start too, before it has asked anybody.
    std::fs::rename(world.path("repo"), world.path("gone")).unwrap();
    world.hosts[0].end(true);
    world.hosts[0].boot();
    live(&mut world, "it knows from its disk", |host| host.fleet().is_some_and(|fleet| fleet.trouble.is_some()));
    assert!(world.hosts[0].fleet().unwrap().doing.contains("the content keys allow it"));
    assert_eq!(world.hosts[0].running(), 1);
    std::fs::rename(world.path("gone"), world.path("repo")).unwrap();
    // In an emergency they sign a faster one.
    let (said, well) =
        world.try_creance("repo ramp repo 2 --ramp fast.toml --key keys/content1.key --key keys/online.key");
    assert!(!well && said.contains("needs signatures of 2 of its keys"), "{said}");
    sign_ramp(&world, "fast.toml");
    live(&mut world, "it takes release 2", |host| host.running() == 2);
    assert_eq!(world.hosts[0].fleet().unwrap().earliest, None);
}

#[test]
fn the_control_group_is_compared_though_its_turn_is_last() {
    let mut world = world();
    sign_ramp(&world, "routine");
    let slice = Slice { from: Share::NONE, to: Share::ALL };
    let mut document = Document { offers: std::collections::BTreeMap::new(), ..document(2, Order::Offer) };
    document.control.insert(Ring::General, slice);
    publish(&world, &document);
    live(&mut world, "it is compared", |host| {
        host.fleet().and_then(|fleet| fleet.enrolment).is_some_and(|part| part.release == 2 && part.arm == Arm::Control)
    });
    assert_eq!(world.hosts[0].running(), 1);
}

#[test]
fn a_revocation_reaches_a_host_that_was_off_and_still_has_it_on_disk() {
    let mut world = world();
    publish(&world, &document(2, Order::Offer));
    live(&mut world, "it takes release 2", |host| host.running() == 2);
    world.hosts[0].end(true);
    publish(&world, &document(2, Order::Revoke));
    world.hosts[0].boot();
    live(&mut world, "it is back", |host| host.running() == 1 && host.order() == Some((2, Order::Revoke)));
}

#[test]
fn the_owner_s_policy_wins() {
    let mut world = world();
    let policy = world.policy(&format!("file://{}", world.path("repo").display()));
    world.hosts[0].set_policy(&format!("hold = {{ until = 2999-01-01T00:00:00Z }}\n{policy}"));
    publish(&world, &document(2, Order::Offer));
    live(&mut world, "it knows of the offer", |host| host.order() == Some((2, Order::Offer)));
    assert_eq!(world.hosts[0].running(), 1);
    assert_eq!(world.hosts[0].fleet().unwrap().enrolment.unwrap().release, 1, "who does not take it is not counted");
    // One that stays a release behind takes what went out before.
    world.release(3, "newest");
    world.hosts[0].set_policy(&format!("pin = \"N-1\"\n{policy}"));
    publish(&world, &Document { base: Some(2), ..document(3, Order::Offer) });
    live(&mut world, "it takes the one before the newest", |host| host.running() == 2);
}

#[test]
fn an_offer_asks_for_every_word_of_the_owner() {
    let mut world = world();
    let policy = world.policy(&format!("file://{}", world.path("repo").display()));
    let key = world.path("keys/content3.pub");
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(12);
    let (from, to) = (now.strftime("%H:%M"), (now + jiff::SignedDuration::from_mins(1)).strftime("%H:%M"));
    publish(&world, &document(2, Order::Offer));
    for word in [
        "hold = { until = 2999-01-01T00:00:00Z }\n".to_owned(),
        format!("window = [{{ from = \"{from}\", to = \"{to}\", zone = \"UTC\" }}]\n"),
        "pin = 1\n".to_owned(),
        format!("approval = {{ key = {key:?} }}\n"),
    ] {
        world.hosts[0].set_policy(&format!("{word}{policy}"));
        live(&mut world, "it knows of the offer", |host| {
            host.order() == Some((2, Order::Offer)) && host.fleet().unwrap().doing == "nothing is to be taken now"
        });
        assert_eq!((world.hosts[0].running(), world.hosts[0].restrained()), (1, vec![]), "{word}");
    }
    world.hosts[0].set_policy(&format!("actions = {{ block = [] }}\n{policy}"));
    live(&mut world, "it takes release 2", |host| host.running() == 2);
    assert_eq!(world.hosts[0].restrained(), ["better"]);
}

#[test]
fn a_control_host_goes_through_the_motions_and_counts_what_happens() {
    let mut world = world();
    let all = Slice { from: Share::NONE, to: Share::ALL };
    let compared = Document {
        offers: std::collections::BTreeMap::new(),
        control: [(Ring::General, all)].into(),
        stage: 3,
        ..document(2, Order::Offer)
    };
    publish(&world, &compared);
    live(&mut world, "it is compared", |host| {
        host.fleet().and_then(|fleet| fleet.enrolment).is_some_and(|enrolment| enrolment.release == 2)
    });
    let enrolment = |world: &World| world.hosts[0].fleet().unwrap().enrolment.unwrap();
    assert_eq!((enrolment(&world).arm, enrolment(&world).stage), (Arm::Control, 3));
    assert_eq!(world.hosts[0].running(), 1);
    // The daemon is killed; then the host loses its power.
    world.hosts[0].end(false);
    world.hosts[0].start();
    live(&mut world, "it counts", |host| {
        host.fleet().and_then(|fleet| fleet.enrolment).is_some_and(|enrolment| !enrolment.mishaps.is_empty())
    });
    world.hosts[0].end(false);
    world.hosts[0].boot();
    live(&mut world, "it counts again", |host| {
        host.fleet().and_then(|fleet| fleet.enrolment).is_some_and(|enrolment| enrolment.mishaps.len() == 2)
    });
    assert_eq!(enrolment(&world).mishaps, [(Signal::Fallback, 1), (Signal::Restart, 1)].into());
}

#[test]
fn a_release_that_this_kernel_refuses_is_asked_for_once() {
    let mut world = world();
    world.release(4, "not-on-6-1");
    publish(&world, &document(4, Order::Offer));
    live(&mut world, "it is refused", |host| host.history(4).contains(&"rejected".to_owned()));
    let figures = world.hosts[0].scrape();
    assert!(figures.lines().any(|line| line.contains(r#"signal="refusal""#) && line.ends_with(" 1")), "{figures}");
    let before = world.hosts[0].history(4);
    let mut polls = 0;
    world.live("it polls on", &mut |_| polls += 1, |_| true);
    world.live("time passes", &mut |_| polls += 1, |world| {
        world.hosts[0].fleet().is_some_and(|fleet| fleet.doing.contains("nothing is to be taken"))
    });
    world.hosts[0].end(true);
    world.hosts[0].boot();
    live(&mut world, "it knows after a reboot", |host| {
        host.fleet().is_some_and(|fleet| fleet.doing.contains("nothing is to be taken"))
    });
    assert_eq!(world.hosts[0].history(4), before);
    assert_eq!(world.hosts[0].running(), 1);
}

#[test]
fn a_release_that_a_brake_holds_is_left_and_the_judge_is_told() {
    let mut world = world();
    publish(&world, &document(2, Order::Offer));
    live(&mut world, "it takes release 2", |host| host.running() == 2);
    world.hosts[0].brake(2);
    live(&mut world, "it is back", |host| host.running() == 1);
    let told =
        |host: &Host| host.fleet().is_some_and(|fleet| fleet.enrolment.is_some_and(|own| !own.mishaps.is_empty()));
    live(&mut world, "it tells", told);
    let enrolment = world.hosts[0].fleet().unwrap().enrolment.unwrap();
    assert_eq!((enrolment.release, enrolment.mishaps), (2, [(Signal::Fallback, 1)].into()));
    // Out of force until its second try: one brake denies nothing for good.
    let stages = world.hosts[0].history(2);
    assert!(stages.ends_with(&["shadow", "on probation", "on probation"].map(str::to_owned)), "{stages:?}");
}

#[test]
fn what_was_revoked_or_never_went_out_does_not_come_back_when_a_newer_one_goes_out() {
    let mut world = world();
    let policy = world.policy(&format!("file://{}", world.path("repo").display()));
    world.hosts[0].set_policy(&format!("pin = \"N-1\"\n{policy}"));
    publish(&world, &document(2, Order::Revoke));
    live(&mut world, "it denies what it never had", |host| host.history(2).contains(&"denied here".to_owned()));
    // 3 is added and skipped; 4 went everywhere, while this host was off; 5 is for others first.
    world.release(3, "skipped");
    world.release(4, "newer");
    world.release(5, "newest");
    publish(&world, &Document { base: Some(4), earlier: vec![1], ..document(5, Order::Pause) });
    let idle = |host: &Host| host.fleet().is_some_and(|fleet| fleet.doing.contains("nothing is to be taken"));
    live(&mut world, "it has decided", |host| {
        host.order() == Some((5, Order::Pause)) && (host.running() != 1 || idle(host))
    });
    let host = &world.hosts[0];
    assert_eq!((host.running(), host.history(3)), (1, vec![]), "one behind 4 is 1, not what never went out");
    // The document of an older publisher says only what went out last.
    publish(&world, &Document { base: Some(4), ..document(5, Order::Halt) });
    live(&mut world, "it has decided again", |host| {
        host.order() == Some((5, Order::Halt)) && (host.running() != 1 || idle(host))
    });
    assert_eq!((world.hosts[0].running(), world.hosts[0].history(2)), (1, vec!["denied here".to_owned()]));
    // What the owner wants of what went out is taken.
    world.hosts[0].set_policy(&policy);
    live(&mut world, "it takes what went out", |host| host.running() == 4);
}

#[test]
fn a_daemon_ends_in_order_while_a_server_does_not_answer() {
    let mut world = world();
    publish(&world, &document(2, Order::Offer));
    live(&mut world, "it takes release 2", |host| host.running() == 2);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let policy = world.policy(&format!("http://{}", silent.local_addr().unwrap()));
    world.hosts[0].set_policy(&policy);
    let mut held = None;
    world.hosts[0].end_meanwhile(|| held = silent.accept().ok());
    assert!(held.is_some(), "the host asks");
    // The host starts anew: nobody is charged with anything.
    world.hosts[0].boot();
    live(&mut world, "it is tried again", |host| host.running() == 2);
    assert!(!world.hosts[0].history(2).contains(&"rolled back".to_owned()));
    assert_eq!(world.hosts[0].fleet().unwrap().enrolment.unwrap().mishaps, [].into());
}

#[test]
fn what_is_wrong_with_this_host_is_no_refusal_and_is_tried_again() {
    let mut world = world();
    let key = world.path("host0/etc/keys/publisher.pub");
    let kept = world.path("publisher.kept");
    std::fs::rename(&key, &kept).unwrap();
    publish(&world, &document(2, Order::Offer));
    let troubled = |host: &Host| {
        host.fleet().is_some_and(|fleet| fleet.doing.contains("tried again within the hour: no key is trusted"))
    };
    live(&mut world, "it says that it trusts no key", troubled);
    assert!(world.hosts[0].fleet().unwrap().enrolment.unwrap().mishaps.is_empty(), "the judge hears of no refusal");
    // The key is there again, and the daemon is started anew, as an owner does who will not wait for an hour.
    std::fs::rename(&kept, &key).unwrap();
    world.hosts[0].end(true);
    world.hosts[0].start();
    live(&mut world, "it takes release 2", |host| host.running() == 2);
}
