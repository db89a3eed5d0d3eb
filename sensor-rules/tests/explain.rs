//! What `creance explain` prints, word for word. `CREANCE_BLESS=1 cargo test -p sensor-rules --test explain`
//! writes it anew.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{fs, path::Path};

use sensor_rules::{Options, RuleSet, Source, check, explain};

/// Rules of every kind: found by a path, by an end, by what is searched for; with a key that is too rare, and
/// with none.
const RULES: &str = r#"
macros:
  in_tmp: path.startsWith("/tmp/") || path.startsWith("/dev/shm/")
rules:
  - {id: cheat-sheet, title: x, severity: low, on: fifo.open, action: block, condition: 'path in ["/tmp/f", "/tmp/p", "/tmp/s", "/tmp/backpipe", "/var/tmp/f"]'}
  - {id: any-owner, title: x, severity: low, on: fifo.open, condition: process.uid != owner && mode.has(S_IWOTH)}
  - {id: tool, title: x, severity: low, on: fifo.open, condition: 'in_tmp && process.exe.endsWith("/nc")'}
  - {id: rare, title: x, severity: low, on: fifo.open, condition: process.comm == "perl" && reads}
  - {id: either, title: x, severity: low, on: fifo.open, condition: '(reads == writes) == (path.size() > 5)'}
  - {id: shell, title: x, severity: high, on: pipe.payload, condition: 'payload.contains("no job control") && process.uid != 0'}
  - {id: cradle, title: x, severity: high, on: pipe.payload, condition: 'payload.contains("| base64 -d")', exceptions: {packager: process.exe == "/usr/bin/dpkg"}}
"#;

fn rules() -> RuleSet {
    let source = Source { name: "rules.yaml".into(), text: RULES.into() };
    check(&[source], Options::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn golden(name: &str, made: &str) {
    let path = Path::new("tests/explain").join(name);
    if std::env::var_os("CREANCE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, made).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == made,
        "tests/explain/{name} is not what is printed; where that is meant: CREANCE_BLESS=1 cargo test -p sensor-rules --test \
         explain\n{made}"
    );
}

#[test]
fn the_plan_in_words() {
    golden("plan.txt", &explain::plan(&rules(), &|_| true).unwrap());
}

#[test]
fn the_costs() {
    let made = explain::table(&explain::costs(&rules()).unwrap(), &|_| true);
    golden("cost.txt", &made);
    let document = include_str!("../../docs/language.md");
    assert!(
        document.contains(&format!("```text\n{made}```")),
        "docs/language.md shows other costs than tests/explain/cost.txt"
    );
}

#[test]
fn the_instructions_of_two_rules() {
    golden("asm.txt", &explain::assembly(&rules(), &|id| ["either", "tool"].contains(&id)).unwrap());
}

#[test]
fn what_is_kept_between_events() {
    let rules = r"
rules:
  - {id: often, title: x, severity: low, on: fifo.open, condition: 'reads', count: {by: process.pid, within: 1500ms, more_than: 20}}
  - {id: behind, title: x, severity: low, on: fifo.open, condition: 'writes', after: {on: [process.exec, fifo.open], condition: process.uid == 0, by: tree, within: 2m}}
";
    let source = Source { name: "rules.yaml".into(), text: rules.into() };
    let rules = check(&[source], Options::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let plan = explain::plan(&rules, &|_| true).unwrap();
    let told: Vec<_> = plan.lines().skip_while(|line| !line.contains("then: ")).collect();
    let told: Vec<_> = told.windows(2).filter(|pair| pair[0].contains("then: ")).map(|pair| pair[1].trim()).collect();
    assert_eq!(
        told,
        [
            "counts: matches where that held more than 20 times in 1500ms, apart for each process.pid",
            "is the second of two: matches where the first (fifo.open, process.exec) was at most 2m before, in the same process tree",
            "is the first of two: the second may follow in the same process tree within 2m",
            "is the first of two: the second may follow in the same process tree within 2m",
        ]
    );
}

#[test]
fn every_instruction_is_listed_once() {
    let rules = rules();
    let listing = explain::assembly(&rules, &|_| true).unwrap();
    let objects = sensor_rules::compile(&rules, sensor_rules::Target::Hook(sensor_common::event::Mode::Lsm)).unwrap();
    for program in objects.iter().flat_map(|object| &object.programs) {
        let heading = format!("{}: {} instructions\n", program.name, program.instructions);
        let (_, behind) = listing.split_once(&heading).unwrap_or_else(|| panic!("no {heading:?} in\n{listing}"));
        let indices: Vec<usize> = behind
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": ")?.0.trim().parse().ok())
            .collect();
        assert!(indices.is_sorted() && indices.windows(2).all(|pair| pair[1] - pair[0] <= 2), "{indices:?}");
        assert_eq!(indices.last(), Some(&(program.instructions - 1)), "{heading}");
    }
}

#[test]
fn patterns_that_no_literal_finds_share_an_automaton() {
    let patterns = ["[a-c]{2}[0-9]", "[0-9]{2,}$", "^[^/]", "[0-9][^a-c]", "^.{0,3}$"];
    let rule = |(number, pattern): (usize, &&str)| {
        format!(
            "- {{id: r{number}, title: x, severity: low, on: fifo.open, condition: 'path.matches(\"{pattern}\")'}}\n"
        )
    };
    let text = patterns.iter().enumerate().map(rule).collect::<Vec<_>>().concat();
    let source = Source { name: "rules.yaml".into(), text: format!("rules:\n{text}").into() };
    let rules = check(&[source], Options::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let plan = explain::plan(&rules, &|_| true).unwrap();
    assert!(plan.contains("walks path by one automaton: 5 patterns, one step per byte"), "{plan}");
}
