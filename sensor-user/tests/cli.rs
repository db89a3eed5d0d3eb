//! The command line, as a user meets it: output, standard error, exit code.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Output, Stdio},
};

use sensor_user::{
    daemon::{core::Permits, lock::Lock, service::admission::Admitted},
    kernel::probe::Mode,
};
use support::{Daemon, bad_rule_file, record, rule_file, user, verifier_refusal, write};

fn creance<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_creance"));
    command.args(arguments).env("NO_COLOR", "1").env("RUST_BACKTRACE", "1");
    command
}

/// What came of a command: exit code, standard output, standard error.
struct Came {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Came {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let came =
        Came { code: status.code(), out: String::from_utf8(stdout).unwrap(), err: String::from_utf8(stderr).unwrap() };
    assert!(!came.err.contains("panicked") && !came.err.contains("RUST_BACKTRACE"), "{}", came.err);
    came
}

fn check(path: &Path) -> Came {
    run(&mut creance(["check", path.to_str().unwrap()]))
}

/// Longest rule file that the checks look into, bytes.
const FILE_MAX: usize = 1 << 20;

/// Checks a file with this content; it must be refused with its name, a line and a column, and all of `words`.
#[track_caller]
fn refused(content: &[u8], words: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.yaml");
    fs::write(&path, content).unwrap();
    let came = check(directory.path());
    assert_eq!(came.code, Some(1), "{}{}", came.out, came.err);
    for word in words {
        assert!(came.err.contains(word), "{word:?} is missing in:\n{}", came.err);
    }
    assert!(came.err.len() < 20_000, "{} bytes of complaint", came.err.len());
    if content.len() > FILE_MAX {
        // The whole file is meant, not a place in it.
        assert!(came.err.contains("bad.yaml"), "{}", came.err);
        return;
    }
    let place = came.err.split("bad.yaml:").nth(1).unwrap_or_else(|| panic!("no place in:\n{}", came.err));
    assert!(place.starts_with(|c: char| c.is_ascii_digit()), "no line in:\n{}", came.err);
}

fn rule(condition: &str) -> Vec<u8> {
    let good = String::from_utf8(rule_file("a-rule").text).unwrap();
    good.replace("path.startsWith(\"/tmp/\")", condition).into_bytes()
}

#[test]
fn sound_rules_pass() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[rule_file("one"), rule_file("two")]);
    let came = check(directory.path());
    assert_eq!((came.code, came.out.as_str()), (Some(0), "2 rules in 2 files: no problem found\n"), "{}", came.err);
}

#[test]
fn a_rule_that_is_easy_to_get_around_is_sound_with_a_warning() {
    let mut block = rule_file("one");
    block.text.extend_from_slice(b"    exceptions:\n      own: process.exe == \"/usr/bin/own\"\n");
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[block]);
    let came = check(directory.path());
    assert_eq!((came.code, came.out.as_str()), (Some(0), "1 rule in 1 file: sound, with 1 warning\n"), "{}", came.err);
    for words in ["warning: rule `one`: an exception relies on the path", "process.trusted", "one.yaml:"] {
        assert!(came.err.contains(words), "{words}: {}", came.err);
    }
}

#[test]
fn an_unknown_field_is_refused_with_a_caret_and_a_suggestion() {
    refused(&rule("pth == \"/tmp/f\""), &["pth", "did you mean `path`", "^", "a-rule"]);
}

#[test]
fn a_wrong_type_is_refused() {
    refused(&rule("path == 5"), &["^"]);
    refused(&rule("path"), &["^"]);
}

#[test]
fn an_unknown_function_is_refused_by_name() {
    refused(&rule("path.beginsWith(\"/tmp\")"), &["beginsWith", "^"]);
}

#[test]
fn an_unsupported_expression_is_refused_by_name() {
    refused(&rule("double(mode) == 2.0"), &["double", "^"]);
    refused(&rule("mode * inode == 2"), &["^"]);
}

#[test]
fn a_duplicate_id_is_refused_and_both_places_are_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (first, mut second) = (rule_file("same"), rule_file("same"));
    second.name = "rules/second.yaml".into();
    write(directory.path(), &[first, second]);
    let came = check(directory.path());
    assert_eq!(came.code, Some(1));
    assert!(came.err.contains("same.yaml:2") && came.err.contains("second.yaml:2"), "{}", came.err);
}

#[test]
fn explain_says_how_a_rule_is_found_what_it_is_made_of_and_what_it_costs() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[rule_file("one"), rule_file("two")]);
    let path = directory.path().to_str().unwrap();
    let explained = |arguments: &[&str]| run(&mut creance(["explain", path].iter().chain(arguments).copied()));
    for (arguments, word) in [
        (&[][..], "rule two ("),
        (&["--rule", "one", "--asm"], "; rule one ("),
        (&["--cost"], "ns per event that matches none"),
    ] {
        let came = explained(arguments);
        assert_eq!(came.code, Some(0), "{}", came.err);
        assert!(came.out.contains(word), "{arguments:?}:\n{}", came.out);
    }
    assert!(!explained(&["--rule", "one"]).out.contains("rule two"));
    let came = explained(&["--rule", "three"]);
    assert_eq!(came.code, Some(1));
    assert!(came.err.contains("no rule `three`"), "{}", came.err);
}

#[test]
fn broken_yaml_is_refused() {
    refused(b"rules:\n  - id: [a\n    title: x\n", &["^"]);
    refused(b"rules:\n\t- id: a\n", &["^"]);
}

#[test]
fn what_is_not_utf8_is_refused() {
    let mut text = rule_file("one").text;
    text.extend_from_slice(b"# \xff\n");
    refused(&text, &["UTF-8"]);
}

#[test]
fn ten_thousand_nested_parentheses_are_refused() {
    let deep = format!("{}mode == 1{}", "(".repeat(10_000), ")".repeat(10_000));
    refused(&rule(&deep), &["^"]);
    refused(&rule(&format!("{}reads", "!".repeat(10_000))), &[]);
    refused(&rule(&vec!["reads"; 10_000].join(" && ")), &[]);
    refused(format!("rules: {}{}", "[".repeat(10_000), "]".repeat(10_000)).as_bytes(), &[]);
}

#[test]
fn a_file_of_ten_megabytes_is_refused() {
    refused(&vec![b'a'; 10 << 20], &[]);
    refused(&rule(&format!("path == \"{}\"", "x".repeat(10 << 20))), &[]);
}

#[test]
fn a_directory_without_rules_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("README.md"), "nothing").unwrap();
    for command in ["check", "test", "push"] {
        let came = run(&mut creance([command, directory.path().to_str().unwrap()]));
        assert_eq!(came.code, Some(1));
        assert!(
            came.err.contains("holds no rules") && came.err.contains(directory.path().to_str().unwrap()),
            "{}",
            came.err
        );
    }
    let came = check(&directory.path().join("missing"));
    assert_eq!(came.code, Some(1));
    assert!(came.err.contains("missing cannot be read"), "{}", came.err);
}

#[test]
fn rules_are_tested_by_their_own_events() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[rule_file("right")]);
    let came = run(&mut creance(["test", directory.path().to_str().unwrap()]));
    assert_eq!(came.code, Some(0), "{}{}", came.out, came.err);
    assert!(came.out.contains("1 rule, 2 tests: all right"), "{}", came.out);

    let wrong = String::from_utf8(rule_file("wrong").text).unwrap().replace("path: /tmp/f", "path: /var/f");
    fs::write(directory.path().join("rules/wrong.yaml"), wrong).unwrap();
    let came = run(&mut creance(["test", directory.path().to_str().unwrap()]));
    assert_eq!(came.code, Some(1));
    assert!(came.out.contains("rule `wrong`: it must match this fifo.open and does not match"), "{}", came.out);
    assert!(came.out.contains("wrong.yaml:11:"), "{}", came.out);
}

#[test]
fn tests_that_leave_a_part_of_their_rule_untried_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let untried = String::from_utf8(rule_file("untried").text).unwrap();
    let untried = untried.replace("path.startsWith(\"/tmp/\")", "path.startsWith(\"/tmp/\") && !nonblock");
    write(directory.path(), &[sensor_rules::Source { name: "rules/untried.yaml".into(), text: untried.into_bytes() }]);
    let came = run(&mut creance(["test", directory.path().to_str().unwrap()]));
    assert_eq!(came.code, Some(1), "{}{}", came.out, came.err);
    let words = "rule `untried`: its tests are right as well where `nonblock` is always false";
    assert!(came.out.contains(words), "{}", came.out);
}

#[test]
fn without_a_daemon_the_exit_code_is_3() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[rule_file("one")]);
    let socket = directory.path().join("none.sock");
    let rules = directory.path().to_str().unwrap().to_owned();
    for arguments in [&["status"][..], &["rollback"], &["events"], &["enforce", "on"], &["push", &rules]] {
        let came = run(creance(arguments.iter().copied()).arg("--socket").arg(&socket));
        assert_eq!(came.code, Some(3), "{arguments:?}: {}", came.err);
        assert!(came.err.contains("no daemon answers on") && came.err.contains("creance daemon"), "{}", came.err);
        assert_eq!(came.err.matches("No such file").count(), 1, "the cause is said once: {}", came.err);
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    for arguments in [&["fly"][..], &["check"], &["enforce", "maybe"], &["daemon", "--ring-size", "5"]] {
        assert_eq!(run(&mut creance(arguments.iter().copied())).code, Some(2), "{arguments:?}");
    }
    assert!(run(&mut creance(["--help"])).out.contains("Exit codes:"));
}

/// The command, told where this daemon listens.
fn at<'a>(daemon: &Daemon, arguments: impl IntoIterator<Item = &'a str>) -> Came {
    run(creance(arguments).arg("--socket").arg(&daemon.socket))
}

#[test]
fn push_status_rollback_and_enforce_tell_what_they_did() {
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().to_str().unwrap();
    write(directory.path(), &[rule_file("one")]);
    assert!(at(&daemon, ["status"]).out.contains("none: nothing is judged"));
    let came = at(&daemon, ["push", rules]);
    assert_eq!(came.code, Some(0), "{}", came.err);
    assert!(came.out.starts_with("generation 1 is in force: 1 rule\n"), "{}", came.out);
    assert!(came.out.contains("fifo.open") && came.out.contains("42 instructions"), "{}", came.out);
    assert!(at(&daemon, ["push", rules]).out.contains("returns to generation 1"));
    assert_eq!(at(&daemon, ["rollback"]).out, "generation 1 is in force again\n");
    assert_eq!(
        at(&daemon, ["enforce", "on"]).out,
        "block, quarantine and kill are carried out, where rules ask for them: 1 of 1 in force\n"
    );
    let status: serde_json::Value = serde_json::from_str(&at(&daemon, ["status", "--json"]).out).unwrap();
    assert_eq!(
        (&status["generation"], &status["previous"], &status["enforcing"]),
        (&1.into(), &2.into(), &true.into())
    );
}

#[test]
fn a_refused_push_is_explained() {
    let daemon = Daemon::with(Mode::Lsm, Permits { skip_checks: true }, Admitted::users([user()]));
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().to_str().unwrap();
    write(directory.path(), &[rule_file("one")]);
    at(&daemon, ["push", rules]);
    *daemon.refuse_next.lock().unwrap() = Some(verifier_refusal());
    let came = at(&daemon, ["push", rules, "--skip-checks"]);
    assert_eq!(came.code, Some(1));
    for word in [
        "refused by the kernel's verifier",
        "invalid access to map value, value_size=1328 off=1328 size=8",
        "generation 1 stays in force",
    ] {
        assert!(came.err.contains(word), "{word:?} is missing in:\n{}", came.err);
    }
    write(directory.path(), &[bad_rule_file()]);
    let came = at(&daemon, ["push", rules]);
    assert_eq!(came.code, Some(1));
    for word in ["refused by the checks", "typo.yaml:7:", "did you mean `path`", "generation 1 stays in force"] {
        assert!(came.err.contains(word), "{word:?} is missing in:\n{}", came.err);
    }
}

#[test]
fn events_are_shown_for_people_and_as_json() {
    let daemon = Daemon::start();
    daemon.client().push(vec![rule_file("one")], false).unwrap();
    daemon.happens(&record(1, b"/tmp/f"));
    let text = at(&daemon, ["events"]).out;
    assert!(text.contains("BLOCK denied") && text.contains("sh[812]") && text.contains("(one, high)"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&at(&daemon, ["events", "--json"]).out).unwrap();
    assert_eq!(json["path"], "/tmp/f");
}

#[test]
fn followed_events_come_at_once_and_a_reader_may_leave() {
    let daemon = Daemon::start();
    let mut follower = creance(["events", "--follow", "--json"])
        .arg("--socket")
        .arg(&daemon.socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    daemon.happens(&record(1, b"/tmp/f"));
    let mut reader = BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.contains("/tmp/f"));
    // As `creance events --follow | head -1` does.
    drop(reader);
    support::until("the follower ends", || {
        daemon.happens(&record(1, b"/tmp/f"));
        follower.try_wait().unwrap().is_some()
    });
    let mut complaint = String::new();
    follower.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((follower.wait().unwrap().code(), complaint.as_str()), (Some(0), ""));
}

#[test]
fn the_second_daemon_says_that_one_runs() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let _first = Lock::take(&socket.with_extension("lock")).unwrap();
    let came = run(creance(["daemon"]).arg("--socket").arg(&socket));
    assert_eq!(came.code, Some(1));
    assert!(came.err.contains(&format!("running already as process {}", std::process::id())), "{}", came.err);
}

#[test]
fn a_daemon_with_bad_first_rules_touches_nothing() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[bad_rule_file()]);
    let socket = directory.path().join("control.sock");
    let came = run(creance(["daemon", "--rules"]).arg(directory.path()).arg("--socket").arg(&socket));
    assert_eq!(came.code, Some(1));
    assert!(
        came.err.contains("the first rules are refused") && came.err.contains("did you mean `path`"),
        "{}",
        came.err
    );
    assert!(!socket.exists());
}

#[test]
fn fields_and_schema_are_those_of_the_documents() {
    for (arguments, document) in [(["fields", "--markdown"], "fields.md"), (["events", "--schema"], "events.md")] {
        let document = fs::read_to_string(Path::new("../docs").join(document)).unwrap();
        assert_eq!(run(&mut creance(arguments)).out, document);
    }
    assert!(run(&mut creance(["fields"])).out.contains("process.exe"));
}

#[test]
fn doctor_answers_every_question() {
    let came = run(&mut creance(["doctor"]));
    for word in
        ["BTF", "BPF LSM", "ring buffer", "path_mknod", "file_open", "file_permission", "pipe_write", "the daemon can"]
    {
        assert!(came.out.contains(word), "{word:?} is missing in:\n{}", came.out);
    }
}
