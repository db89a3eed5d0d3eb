//! What SIGHUP lets the daemon read anew, with an engine that needs no kernel.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use support::{Daemon, bad_rule_file, rule_file, write};

#[test]
fn the_rules_directory_is_read_anew_and_what_is_not_new_stays() {
    let daemon = Daemon::remembering();
    let directory = tempfile::tempdir().unwrap();
    let anew = || daemon.core.read_anew(Some(directory.path()));
    let in_force = || {
        let status = daemon.client().status().unwrap();
        (status.generation, status.rules)
    };
    write(directory.path(), &[rule_file("one")]);
    assert!(anew().contains("generation 1 is in force: 1 rules"));
    for _ in 0..3 {
        assert!(anew().contains("are those of generation 1"));
    }
    assert_eq!(in_force(), (Some(1), 1));
    write(directory.path(), &[rule_file("two")]);
    assert!(anew().contains("generation 2 is in force: 2 rules"));
    assert_eq!(in_force(), (Some(2), 2));

    // One that is refused, and a directory that is gone, change nothing.
    write(directory.path(), &[bad_rule_file()]);
    let words = anew();
    assert!(words.contains("change nothing") && words.contains("did you mean `path`"), "{words}");
    std::fs::remove_dir_all(directory.path()).unwrap();
    let words = anew();
    assert!(words.contains("change nothing") && words.contains("cannot be read"), "{words}");
    assert_eq!(in_force(), (Some(2), 2));

    // What somebody has pushed since is not what the directory says.
    daemon.client().push(vec![rule_file("three")], false).unwrap();
    write(directory.path(), &[rule_file("one")]);
    assert!(anew().contains("generation 4 is in force: 1 rules"));
}
