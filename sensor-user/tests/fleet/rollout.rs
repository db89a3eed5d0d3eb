//! A good release reaches all by stages. A bad one is stopped at the canary, and the canaries are back on the
//! last good one, untouched by hands.

use std::{collections::BTreeSet, env, time::Instant};

use sensor_content::{
    fleet::Arm,
    life::Stage,
    rollout::{Order, Ring},
};
use sensor_rules::Source;

use crate::{
    host::Host,
    servers::{nginx, program, prometheus},
    vm::Vm,
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
    world.machines(web.address.port());
    let addresses = world.hosts.iter().map(Host::address).chain(world.vms.iter().map(|vm| vm.address));
    let watch = prometheus(world.directory(), &addresses.collect::<Vec<_>>(), world.pace());
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
        |world| world.hosts.iter().all(|host| host.running() == 1) && world.vms.iter().all(|vm| vm.runs(1)),
    );
    let vms = if world.vms.is_empty() { String::new() } else { format!(" and {} VMs", world.vms.len()) };
    println!("{count} hosts{vms} have the good release after {:.0} s", begun.elapsed().as_secs_f64());
    world.vms.iter().for_each(is_confined);
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
    world.vms.iter().for_each(Vm::reboot);
    world.live("it is good everywhere", &mut |_| {}, |world| {
        world.hosts.iter().all(|host| host.good() == [1]) && world.vms.iter().all(|vm| vm.is_good(1))
    });

    world.release(2, "not-on-6-12");
    let said = is_stopped(&mut world, 2, &advance);
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
    vms_had(&world, 2);
    assert!(world.creance("rollout replay 2 --state desk").contains("each the same again"));
    // It stays revoked: for a person who resumes it, and for who offers it again.
    assert!(!world.rollout("resume").1);
    assert!(world.rollout("start 2 --plan plan.toml").0.contains("not newer"));
    let page = world.creance("rollout status --state desk --html page.html");
    assert!(page.contains("written"));
    let page = std::fs::read_to_string(world.path("page.html")).unwrap();
    assert!(page.contains("revoked at canary") && page.contains("verifier refusals"), "{page}");
    let text = world.creance("rollout status --state desk");
    assert!(text.contains("canary") && text.contains('█'), "{text}");
    if !world.vms.is_empty() {
        is_stopped_by_what_a_kernel_saw(&mut world, &advance);
    }
}

/// A release whose rule blocks what the VMs do all day: on each the kernel's own brake holds it, and the host
/// leaves it. Hosts without a kernel see nothing.
fn is_stopped_by_what_a_kernel_saw(world: &mut World, advance: &str) {
    let text = "rules:\n  - id: too-broad\n    title: A FIFO is made\n    severity: high\n    attack: [T1559]\n    on: fifo.create\n    \
                condition: path.startsWith(\"/tmp/daily/\")\n    action: block\n    budget: {count: 3, seconds: 3600}\n    tests:\n      \
                match: [{path: /tmp/daily/f}]\n      no_match: [{path: /tmp/f}]\n";
    world.release_of(3, &Source { name: "rules/too-broad.yaml".into(), text: text.into() });
    let said = is_stopped(world, 3, advance);
    assert!(said.contains("recovery ladder used") && said.contains("REVOKED"), "{said}");
    for vm in &world.vms {
        let history = vm.history(3);
        let had = history.iter().any(|entry| entry.stage == Stage::Probation);
        assert!(
            !had || history.iter().any(|entry| entry.reason.contains("a brake holds rule too-broad")),
            "{history:?}"
        );
    }
    assert!(vms_had(world, 3) >= 2);
}

/// A release goes out, and is revoked; all hosts know, and have the first again. What was said of it.
fn is_stopped(world: &mut World, number: u64, advance: &str) -> String {
    let (said, well) = world.rollout(&format!("start {number} --plan plan.toml"));
    assert!(well, "{said}");
    let begun = Instant::now();
    let (mut revoked, mut said) = (None, String::new());
    world.live(
        "the bad release is stopped",
        &mut |world| {
            let (now, well) = world.rollout(advance);
            if !well {
                revoked.get_or_insert_with(Instant::now);
                said = now;
            }
        },
        |world| {
            let back = |host: &Host| host.order() == Some((number, Order::Revoke)) && host.running() == 1;
            world.hosts.iter().all(back) && world.vms.iter().all(|vm| vm.is_back(1, number))
        },
    );
    let revoked = revoked.unwrap();
    println!(
        "bad release {number} is revoked after {:.1} s; all polling hosts know and are back {:.1} s later\n{said}",
        (revoked - begun).as_secs_f64(),
        revoked.elapsed().as_secs_f64()
    );
    said
}

/// How many VMs had a release that was taken back: each has the first again, which is its last good one.
fn vms_had(world: &World, number: u64) -> usize {
    let had = world.vms.iter().filter(|vm| {
        let history = vm.history(number);
        let had = history.iter().any(|entry| entry.stage == Stage::Probation);
        assert!(!had || history.iter().any(|entry| entry.stage == Stage::RolledBack), "{history:?}");
        assert!(vm.is_good(1), "{history:?}");
        had
    });
    let count = had.count();
    if !world.vms.is_empty() {
        println!("{count} of {} VMs had generation {number}, and are back on the last good one", world.vms.len());
    }
    count
}

/// The real daemon polls although it has given up what it does not need.
fn is_confined(vm: &Vm) {
    let status = vm.status().unwrap();
    let (fleet, confined) = (status.fleet.unwrap(), status.confinement);
    assert!(fleet.polled.is_some() && fleet.trouble.is_none(), "{fleet}");
    assert!(confined.files.contains("Landlock") && confined.calls.contains("seccomp"), "{confined}");
    assert!(!confined.capabilities.contains("NET") && !confined.capabilities.contains("SYS_ADMIN"), "{confined}");
    println!("{}: Linux {}, {confined}", vm.name, status.kernel);
}
