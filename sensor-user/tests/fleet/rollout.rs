//! A good release reaches all by stages. A bad one is stopped at the canary, and the canaries are back on the last good one, untouched by
//! hands.

use std::{collections::BTreeSet, env, time::Instant};

use sensor_content::{
    fleet::Arm,
    rollout::{Order, Ring},
};

use crate::{
    host::Host,
    servers::{nginx, program, prometheus},
    world::World,
};

#[test]
fn a_good_release_reaches_all_and_a_bad_one_is_stopped_at_the_canary() {
    if program("nginx").is_none() || program("prometheus").is_none() {
        println!("not run: needs nginx and prometheus; `cargo xtask fleet` fetches them");
        return;
    }
    let count = env::var("CREANCE_FLEET").ok().and_then(|count| count.parse().ok()).unwrap_or(12);
    let mut world = World::new();
    let web = nginx(world.directory(), &world.path("repo"));
    world.fleet(count, &format!("http://{}", web.address));
    let addresses: Vec<_> = world.hosts.iter().map(Host::address).collect();
    let watch = prometheus(world.directory(), &addresses);
    let advance = format!("advance --prometheus http://{}", watch.address);

    world.release(1, "good");
    let (said, well) = world.rollout("start 1 --plan plan.toml");
    assert!(well, "{said}");
    let begun = Instant::now();
    let mut said = String::new();
    let mut stages: Vec<BTreeSet<(Ring, usize)>> = Vec::new();
    let mut controls = 0;
    world.live(
        "the good release is everywhere",
        &mut |world| {
            let (now, well) = world.rollout(&advance);
            assert!(well, "{now}");
            let enrolled = world.hosts.iter().filter_map(|host| host.fleet()?.enrolment);
            let (treated, control): (Vec<_>, Vec<_>) = enrolled.partition(|enrolment| enrolment.arm == Arm::Treated);
            controls = controls.max(control.len());
            stages.push(treated.iter().map(|enrolment| (enrolment.ring, enrolment.stage)).collect());
            said = now;
        },
        |world| world.hosts.iter().all(|host| host.running() == 1),
    );
    println!("{count} hosts have the good release after {:.0} s", begun.elapsed().as_secs_f64());
    let seen: BTreeSet<_> = stages.into_iter().flatten().collect();
    assert!(seen.contains(&(Ring::Early, 0)), "{seen:?}");
    let first = |ring| seen.iter().filter(|(of, _)| *of == ring).map(|(_, stage)| *stage).min();
    assert!(first(Ring::General).is_none_or(|stage| stage >= 1) && first(Ring::Late).is_none_or(|stage| stage >= 2));
    assert!(controls > 0 || count < 20, "nobody was compared");
    assert!(said.contains("over"), "{said}");
    assert!(world.creance("rollout replay 1 --state desk").contains("each the same again"));

    // A reboot, and the release is good on every host.
    world.each(|host| {
        host.end(true);
        host.boot();
    });
    world.live("it is good everywhere", &mut |_| {}, |world| world.hosts.iter().all(|host| host.good() == [1]));

    world.release(2, "not-on-6-12");
    let (said, well) = world.rollout("start 2 --plan plan.toml");
    assert!(well, "{said}");
    let begun = Instant::now();
    let (mut revoked, mut said) = (None, String::new());
    world.live(
        "the bad release is stopped",
        &mut |world| {
            let (now, well) = world.rollout(&advance);
            if !well {
                revoked = Some(Instant::now());
                said = now;
            }
        },
        |world| world.hosts.iter().all(|host| host.order() == Some((2, Order::Revoke)) && host.running() == 1),
    );
    let revoked = revoked.unwrap();
    println!(
        "the bad release is revoked after {:.1} s; all polling hosts know and are back {:.1} s later\n{said}",
        (revoked - begun).as_secs_f64(),
        revoked.elapsed().as_secs_f64()
    );
    assert!(said.contains("verifier refusals") && said.contains("REVOKED"), "{said}");
    let (mut took, mut refused) = (0, 0);
    for host in &world.hosts {
        let history = host.history(2);
        let had = history.iter().any(|stage| stage == "on probation");
        took += u32::from(had);
        refused += u32::from(history.iter().any(|stage| stage == "rejected"));
        assert!(host.ring == Ring::Early || !had, "only canaries had it: {history:?}");
        assert!(!had || history.iter().any(|stage| stage == "rolled back"), "{history:?}");
        assert_eq!(host.good(), [1]);
    }
    println!("{took} canaries had it, {refused} refused it");
    assert!(refused > 0);
    assert!(world.creance("rollout replay 2 --state desk").contains("each the same again"));
    // It stays revoked: for a person who resumes it, and for who offers it again.
    assert!(!world.rollout("resume").1);
    assert!(world.rollout("start 2 --plan plan.toml").0.contains("not newer"));
    let page = world.creance("rollout status --state desk --html page.html");
    assert!(page.contains("written"));
    let page = std::fs::read_to_string(world.path("page.html")).unwrap();
    assert!(page.contains("revoked at `canary`") && page.contains("verifier refusals"), "{page}");
    let text = world.creance("rollout status --state desk");
    assert!(text.contains("canary") && text.contains('█'), "{text}");
}
