//! Random well-typed rules on random records: the compiled program, run by this machine's kernel, says
//! exactly what the CEL interpreter says. The seed is fixed; `CREANCE_SEED` and `CREANCE_PAIRS` try others,
//! and `cargo xtask fuzz rules` many more.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use sensor_proof::{
    case::Case,
    compare::{self, compare},
    largest::{self, Large},
    random::{Random, record},
};
use sensor_rules::{Options, RuleSet, check, interpret};
use sensor_user::kernel::test_run::TestRun;

/// Where every difference that was ever found is kept.
const REGRESSIONS: &str = "tests/regressions";

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn checked(text: &str) -> RuleSet {
    sensor_proof::case::rules(text).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Whether the kernel may be asked at all; where not, says so.
fn may_load() -> bool {
    let may = compare::may_load().unwrap_or_else(|error| panic!("{error:#}"));
    if !may {
        println!("not run: this process may not load eBPF programs; run the tests as root");
    }
    may
}

#[test]
fn the_kernel_agrees_with_the_interpreter() {
    if !may_load() {
        return;
    }
    let seed = from_environment("CREANCE_SEED", 4);
    let pairs = from_environment("CREANCE_PAIRS", 100_000);
    let compared = compare(seed, pairs, 2).unwrap_or_else(|error| panic!("{error:#}"));
    for (name, case) in &compared.differences {
        case.write(Path::new(REGRESSIONS), name).unwrap();
        println!("{name}: {:#?} on\n{}", case.difference(), case.rules);
    }
    let (pairs, matched) = (compared.pairs, compared.matched);
    println!(
        "{pairs} pairs of rule set and record, {matched} of them with a match, {:.1} s",
        compared.time.as_secs_f64()
    );
    assert!(compared.differences.is_empty(), "{} differences, now in {REGRESSIONS}", compared.differences.len());
    assert!(matched * 20 > pairs, "too few matches ({matched} of {pairs}) to prove anything");
}

#[test]
fn differences_found_before_are_gone() {
    if !may_load() {
        return;
    }
    let mut cases = 0;
    for entry in std::fs::read_dir(REGRESSIONS).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let case = Case::read(&path).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            let difference = case.difference().unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            assert_eq!(difference, None, "{}", path.display());
            cases += 1;
        }
    }
    assert!(cases > 0, "there is no case in {REGRESSIONS}");
}

#[test]
fn two_hundred_rules_fit_one_program() {
    if !may_load() {
        return;
    }
    let mut random = Random::new(7);
    let rules: Vec<_> = (0..200)
        .map(|number| {
            // Every second rule searches; the verifier walks a search place by place.
            let test = if number % 2 == 0 { "contains" } else { "startsWith" };
            format!(
                "- id: r{number}\n  title: x\n  severity: low\n  on: pipe.payload\n  condition: >-\n    \
                 payload.{test}(\"needle-{number}\") || process.exe.endsWith(\"/tool-{number}\") && parent.exe.startsWith(\"/opt/{number}/\")\n"
            )
        })
        .collect();
    let rules = checked(&format!("rules:\n{}", rules.concat()));
    let mut kernel = TestRun::load(&rules).unwrap_or_else(|error| panic!("{error:#}"));
    let event = sensor_common::event::Event::PipePayload;
    for number in [0, 1, 100, 199] {
        let mut record = record(&mut random);
        record.object.payload.set(format!("needle-{number} hay").as_bytes());
        let expected = interpret(&rules, event, &record).unwrap();
        assert!(expected.matched > 0);
        assert_eq!(kernel.judge(event, &record).unwrap(), expected);
    }
}

#[test]
fn patterns_that_one_walk_finds_are_judged_as_by_the_interpreter() {
    if !may_load() {
        return;
    }
    // No literal is required by any of these; some are found by the same state, some by the end only.
    let patterns = [
        "[a-c]{2}[0-9]",
        "[0-9]{2,}$",
        "^[^/]",
        "[a-z]+[0-9]?[.]?[x-z]$",
        "[0-9][a-c]",
        "^.{0,3}$",
        "\\\\b[x-z]+\\\\b",
        "\\\\xff|[0-9]{3}",
    ];
    let rule = |number: usize, condition: &str| {
        format!("- id: r{number}\n  title: x\n  severity: low\n  on: fifo.open\n  condition: |-\n    {condition}\n")
    };
    let found = patterns.iter().map(|pattern| format!("path.matches(\"{pattern}\")"));
    let both = patterns.iter().zip(patterns.iter().skip(1));
    let both = both.map(|(one, other)| format!("!path.matches(\"{one}\") && path.matches(\"{other}\")"));
    let text: Vec<_> = found.chain(both).enumerate().map(|(number, condition)| rule(number, &condition)).collect();
    let rules = checked(&format!("rules:\n{}", text.concat()));
    let mut kernel = TestRun::load(&rules).unwrap_or_else(|error| panic!("{error:#}"));
    let event = sensor_common::event::Event::FifoOpen;
    let long = format!("{}12", "/a".repeat(127));
    for path in [&b""[..], b"a", b"ab1", b"xyz", b"12", b"/tmp/ab12.x", b"1c\xff", b"\xff", b"123 y", long.as_bytes()] {
        let mut record = sensor_common::record::Record::EMPTY;
        record.object.path.set(path);
        let expected = interpret(&rules, event, &record).unwrap();
        assert_eq!(kernel.judge(event, &record).unwrap(), expected, "{path:?}");
    }
}

/// Both judges read conditions with the same parser, so a mistake in it would not show above: these answers
/// are from CEL's specification. The record has `reads` true, `writes` false, `process.pid` 5, `mode` 0400
/// and `path` /tmp/f; its parent is /bin/sh (7), the parent of that /sbin/init (1), and there are no more.
const GOLDEN: &[(&str, bool)] = &[
    ("reads || reads && writes", true),
    ("(reads || reads) && writes", false),
    ("writes && writes || reads", true),
    ("writes && (writes || reads)", false),
    ("!writes && writes", false),
    ("!(writes && writes)", true),
    ("!writes == reads", true),
    ("!(writes == reads)", true),
    ("!reads == writes && reads", true),
    ("process.pid == 5 == reads", true),
    ("process.pid < 6 == writes", false),
    ("process.pid in [5] == reads", true),
    ("reads != writes == reads", true),
    ("writes == writes == writes", false),
    ("process.pid > -6 && process.pid >= 5 && !(process.pid > 5)", true),
    ("path == \"\\x2ftmp/\\146\" && path == r'/tmp/f' && path == \"\"\"/tmp/f\"\"\"", true),
    ("path.startsWith('/tmp') // && writes", true),
    ("process.pid == 0x5", true),
    ("reads ? writes : reads", false),
    ("writes ? reads : writes ? reads : !writes", true),
    ("writes || reads ? writes : reads", false),
    ("writes || (reads ? writes : reads)", false),
    ("!(reads ? writes : reads) && size(path) == 6", true),
    ("path.size() == 6 ? process.pid.has(4) : writes", true),
    ("process.pid.has(5) && process.pid.has(1) && !process.pid.has(7)", true),
    ("process.pid in [0x1, 5] && !process.pid.has(2)", true),
    ("mode.has(S_IRUSR) && !mode.has(S_IRWXU) && mode == S_IRUSR", true),
    ("path.matches('t.p') && path.matches('^/tmp/[a-f]$') && !path.matches('^tmp') && !path.matches('/tmp$')", true),
    ("path.matches('(a|mp/)f') && path.matches('(?i)TMP') && path.matches(r'\\bf') && !path.matches(r'\\Bf')", true),
    ("path.glob('/tmp/*') && path.glob('/*/?') && !path.glob('/*') && path.glob('/**') && path.glob('**/[e-g]')", true),
    ("path.glob('/tmp/{e,f}') && !path.glob('/tmp/[!f]') && !path.glob('tmp/f') && path.glob(r'/tmp/\\f')", true),
    (
        "ancestors.exists(a, a.exe == '/sbin/init') && !ancestors.exists(a, a.exe == '') && !ancestors.all(a, a.pid == 1)",
        true,
    ),
    (
        "ancestors.all(x, x.pid < 8 && x.exe.startsWith('/')) && ancestors.exists(x, x.pid == 7 && x.exe == '/bin/sh')",
        true,
    ),
    ("process.pid + 2 * 3 == 11 && (process.pid + 2) * 3 == 21", true),
    ("process.pid - 3 - 1 == 1 && process.pid - (3 - 1) == 3", true),
    ("process.pid * 7 / 2 % 4 == 1 && process.pid * (7 / 2 % 4) == 15", true),
    ("-process.pid / 2 == -2 && -process.pid % 3 == -2 && process.pid % -3 == 2", true),
    ("process.pid + 1 < process.pid * 2 == reads", true),
    ("process.pid - size(path) in [-1, 7]", true),
    ("- -process.pid == 5 && 3 - -process.pid == 8", true),
];

#[test]
fn precedence_and_literals_are_those_of_cel() {
    let may_load = may_load();
    let event = sensor_common::event::Event::FifoOpen;
    let mut record = sensor_common::record::Record::EMPTY;
    (record.object.reads, record.process.pid, record.object.mode) = (1, 5, 0o400);
    record.object.path.set(b"/tmp/f");
    (record.parent.pid, record.ancestors.first.pid) = (7, 1);
    record.parent.exe.set(b"/bin/sh");
    record.ancestors.first.exe.set(b"/sbin/init");
    for (condition, expected) in GOLDEN {
        let rules = checked(&format!(
            "rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n  condition: |-\n    {condition}\n"
        ));
        assert_eq!(interpret(&rules, event, &record).unwrap().matched > 0, *expected, "the interpreter on {condition}");
        if may_load {
            let verdict = TestRun::load(&rules).unwrap().judge(event, &record).unwrap();
            assert_eq!(verdict.matched > 0, *expected, "the kernel on {condition}");
        }
    }
}

#[test]
fn the_largest_rule_sets_are_judged_as_by_the_interpreter() {
    if !may_load() {
        return;
    }
    let mut random = Random::new(11);
    for Large { name, sources } in largest::usual() {
        let rules = check(&sources, Options::default()).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        let event = rules.rules()[0].events[0];
        let mut kernel = TestRun::load(&rules).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        for number in [0_u32, 1, 777, 2399] {
            let mut record = record(&mut random);
            record.process.pid = 7 * number;
            record.object.path.set(format!("/tmp/fifo-{number}").as_bytes());
            record.object.payload.set(format!("a needle {number} in hay").as_bytes());
            let expected = interpret(&rules, event, &record).unwrap();
            assert_eq!(kernel.judge(event, &record).unwrap(), expected, "{name}, {number}");
        }
    }
}
