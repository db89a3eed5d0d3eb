//! Random well-typed rules on random records: the compiled program, run by this machine's kernel, says exactly what the
//! CEL interpreter says. The seed is fixed; `CREANCE_SEED` and `CREANCE_PAIRS` try others.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use sensor_rules::{Options, RuleSet, Source, check, interpret};
use sensor_user::kernel::test_run::{TestRun, not_permitted};

use sensor_proof::random::{Random, record, rule_file};

/// Records that each rule set judges.
const RECORDS: u64 = 24;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn checked(text: &str) -> RuleSet {
    let source = Source { name: "random.yaml".into(), text: text.into() };
    check(&[source], Options::default()).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// Whether the kernel may be asked at all; where not, says so.
fn may_load() -> bool {
    let rules = checked("rules:\n- {id: x, title: x, severity: low, on: fifo.open, condition: reads}\n");
    match TestRun::load(&rules) {
        Ok(_) => true,
        Err(error) if not_permitted(&error) => {
            println!("SKIPPED: this process has no right to load eBPF programs: {error:#}");
            false
        }
        Err(error) => panic!("{error:#}"),
    }
}

#[test]
fn the_kernel_agrees_with_the_interpreter() {
    if !may_load() {
        return;
    }
    let seed = from_environment("CREANCE_SEED", 4);
    let pairs = from_environment("CREANCE_PAIRS", 6_000);
    let (mut compared, mut matched) = (0, 0);
    for round in 0..pairs.div_ceil(RECORDS) {
        let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(round));
        let (event, text) = rule_file(&mut random);
        let rules = checked(&text);
        let mut kernel =
            TestRun::load(&rules).unwrap_or_else(|error| panic!("seed {seed} round {round}: {error:#}\n{text}"));
        for _ in 0..RECORDS {
            let record = record(&mut random);
            let expected = interpret(&rules, event, &record).unwrap_or_else(|error| panic!("{error}"));
            let found = kernel.judge(event, &record).unwrap_or_else(|error| panic!("{error:#}"));
            assert_eq!(found, expected, "seed {seed} round {round}: {} and\n{text}\non {record:#?}", event.name());
            compared += 1;
            matched += u64::from(expected.matched + expected.noted > 0);
        }
    }
    println!("{compared} pairs of rule set and record, {matched} of them with a match: no difference");
    assert!(matched * 20 > compared, "too few matches ({matched} of {compared}) to prove anything");
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

/// Both judges read conditions with the same parser, so a mistake in it would not show above: these answers are from CEL's
/// specification. The record has `reads` true, `writes` false, `process.pid` 5, `mode` 0400 and `path` /tmp/f;
/// its parent is /bin/sh (7), the parent of that /sbin/init (1), and there are no more.
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
