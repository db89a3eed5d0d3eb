//! With what the daemon starts: what one before has left, and what switches and the policy make of it.

use std::{fs, os::unix::fs::MetadataExt};

use sensor_user::{daemon::brakes::lifeline::Lifeline, host::settings::Settings};

use super::{Host, bundle, content, running};
use crate::support::{Fake, rule_file};

#[test]
fn off_takes_what_a_daemon_before_has_left_out_of_force() {
    let host = Host::with_good(&[120]);
    host.boots("now").hand_over();
    fs::write(host.path().join("safe-mode"), "off").unwrap();
    // The first of them crashes.
    for _ in 0..2 {
        let daemon = host.adopts("now", Fake::left(120));
        let status = daemon.client().status().unwrap();
        assert_eq!((status.generation, status.previous), (None, None), "it goes on to judge");
    }
    fs::remove_file(host.path().join("safe-mode")).unwrap();
    assert_eq!(running(&host.adopts("now", Fake::left(120))), Some(120), "nothing was lost");
}

#[test]
fn where_the_policy_cannot_be_read_rules_only_alert_until_it_can() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("without a policy");
    assert_eq!(content(&daemon).restrained, [""; 0]);
    daemon.stop();
    host.policy("hold = 1\n");
    let daemon = host.boots("now");
    for tick in [false, true] {
        assert_eq!(content(&daemon).restrained, ["one"], "{tick}");
        let text = daemon.client().status().unwrap().to_string();
        assert!(text.contains("every rule only alerts") && text.contains("content.toml:1:8"), "{text}");
        daemon.core.generations().tick();
    }
    let refused = daemon.client().push_bundle(&bundle(124), true).unwrap_err().to_string();
    assert!(refused.contains("nothing new is taken"), "{refused}");
    host.policy("");
    daemon.core.generations().tick();
    assert_eq!((running(&daemon), content(&daemon).restrained), (Some(120), vec![]));
    assert_eq!(content(&daemon).trouble, [""; 0]);
    // What was read once goes on to hold.
    host.policy("hold = 1\n");
    daemon.core.generations().tick();
    assert_eq!(content(&daemon).restrained, [""; 0]);
    assert!(content(&daemon).trouble[0].contains("goes on to hold"));
    let elsewhere = Settings { policy: host.path().join("content.toml/content.toml"), ..host.settings("now") };
    assert!(elsewhere.policy().is_err(), "only a file that is not there says nothing");
}

#[test]
fn what_is_on_probation_goes_on_in_another_version_of_the_sensor() {
    // By order; after a crash; after another start of the kernel, of which nothing is in it.
    for (by_order, boot, others, goes_on) in
        [(true, "now", true, 124), (false, "now", true, 120), (true, "now", false, 120), (true, "next", true, 120)]
    {
        let host = Host::with_good(&[120]);
        let daemon = host.boots("now");
        daemon.client().push_bundle(&bundle(124), false).unwrap();
        if by_order {
            daemon.hand_over();
        } else {
            drop(daemon);
        }
        let daemon = host.adopts(boot, Fake::beside(others));
        assert_eq!(running(&daemon), Some(goes_on), "{by_order}, {boot}, {others}");
        if goes_on == 124 {
            daemon.hand_over();
            fs::write(host.path().join("safe-mode"), "last-good").unwrap();
            assert_eq!(running(&host.adopts(boot, Fake::beside(others))), Some(120), "against the switch");
        }
    }
}

#[test]
fn the_lifeline_of_the_policy_is_as_new_as_the_policy() {
    let (host, mut lifeline) = (Host::new(), Lifeline::new(None).unwrap());
    let rescue = host.path().join("rescue");
    fs::write(&rescue, "").unwrap();
    let inode = fs::metadata(&rescue).unwrap().ino();
    let wanted = format!("[lifeline]\nexecutables = [{rescue:?}]\n");
    host.policy(&wanted);
    let daemon = host.boots("now");
    for (policy, listed) in [(wanted.as_str(), true), ("", false), (&wanted, true), ("hold = 1\n", true)] {
        host.policy(policy);
        daemon.core.generations().tick();
        daemon.core.monitor().look_after(&mut lifeline).unwrap();
        let found = daemon.brakes.lifeline.lock().unwrap().keys().any(|key| key.inode == inode);
        assert_eq!(found, listed, "{policy:?}");
    }
}

#[test]
fn a_baseline_that_was_given_up_is_said_to_be() {
    let host = Host::new();
    for crash in 1..=2 {
        let daemon = host.boots(&format!("boot {crash}"));
        assert_eq!((running(&daemon), content(&daemon).trouble), (Some(0), vec![]));
    }
    let daemon = host.boots("boot 3");
    let text = daemon.client().status().unwrap().to_string();
    assert!(text.contains("WARNING: the baseline is given up") && text.contains("--pardon"), "{text}");
    assert_eq!(running(&daemon), None);
}

#[test]
fn what_nobody_has_signed_goes_on_after_a_restart_by_order_and_only_then() {
    let number = 1 << 40;
    // By order; after a crash; the owner has changed his mind; a switch; another start of the kernel.
    for (by_order, policy, switch, boot, goes_on) in [
        (true, "unsigned = true\n", None, "now", true),
        (false, "unsigned = true\n", None, "now", false),
        (true, "", None, "now", false),
        (true, "unsigned = true\n", Some("last-good"), "now", false),
        (true, "unsigned = true\n", None, "next", false),
    ] {
        let host = Host::with_good(&[120]);
        host.policy("unsigned = true\n");
        let daemon = host.boots("now");
        let pushed = daemon.client().push(vec![rule_file("one")], false).unwrap();
        assert!((pushed.generation, pushed.transient) == (number, true));
        let text = daemon.client().status().unwrap().to_string();
        assert!(text.contains("nobody has signed these rules"), "{text}");
        if by_order {
            daemon.hand_over();
        }
        host.policy(policy);
        if let Some(switch) = switch {
            fs::write(host.path().join("safe-mode"), switch).unwrap();
        }
        let left = if boot == "now" { Fake::left(number) } else { Fake::default() };
        let daemon = host.adopts(boot, left);
        let expected = if goes_on { number } else { 120 };
        assert_eq!(running(&daemon), Some(expected), "{by_order} {policy:?} {switch:?} {boot}");
        let said = daemon.client().status().unwrap().to_string().contains("nobody has signed these rules");
        assert_eq!(said, goes_on);
    }
}
