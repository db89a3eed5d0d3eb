//! What is shipped for Prometheus and Grafana: checked by their own tool, and against the figures that there are.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{self, Path, PathBuf},
    process::Command,
};

const METRICS: &str = include_str!("../../docs/metrics.md");

fn packaging(below: &str) -> PathBuf {
    Path::new("../packaging").join(below)
}

fn promtool() -> Option<PathBuf> {
    let own = path::absolute("../target/tools/servers/usr/bin").unwrap();
    let path = env::var_os("PATH").unwrap_or_default();
    [own].into_iter().chain(env::split_paths(&path)).map(|place| place.join("promtool")).find(|path| path.is_file())
}

/// Runs `promtool` in a directory; `None` where there is none.
fn checked(arguments: &[&str], directory: &Path) -> Option<()> {
    let Some(promtool) = promtool() else {
        println!("not run: needs promtool; `cargo xtask fleet` fetches it");
        return None;
    };
    let output = Command::new(promtool).args(arguments).current_dir(directory).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    Some(())
}

#[test]
fn rules_alerts_and_configurations_are_sound() {
    let directory = packaging("prometheus");
    let commands: [&[&str]; 4] = [
        &["check", "rules", "creance.rules.yml"],
        &["test", "rules", "creance.test.yml"],
        &["check", "config", "prometheus.yml"],
        &["check", "config", "--agent", "agent.yml"],
    ];
    commands.iter().try_for_each(|arguments| checked(arguments, &directory));
}

/// The figures that an expression names.
fn named(text: &str) -> BTreeSet<String> {
    let word = |character: char| !(character.is_ascii_alphanumeric() || character == '_');
    text.split(word).filter(|word| word.starts_with("creance_") && *word != "creance_").map(str::to_owned).collect()
}

#[test]
fn every_figure_that_is_asked_for_is_there() {
    let there = named(METRICS);
    let dashboard = fs::read_to_string(packaging("grafana/creance.json")).unwrap();
    let rules = fs::read_to_string(packaging("prometheus/creance.rules.yml")).unwrap();
    let plan = sensor_content::rollout::Plan::parse(sensor_content::rollout::Plan::ROUTINE).unwrap();
    let questions = sensor_content::rollout::prometheus::Question::ALL;
    let asked: String = questions.iter().map(|question| question.query(1, jiff::SignedDuration::ZERO, &plan)).collect();
    for (what, text) in [("dashboard", dashboard), ("rules", rules), ("judge", asked)] {
        let named = named(&text);
        assert!(named.len() >= 4, "{what}: {named:?}");
        let missing: Vec<_> = named.difference(&there).collect();
        assert!(missing.is_empty(), "{what} asks for {missing:?}, which docs/metrics.md does not know");
    }
}

#[test]
fn every_expression_of_the_dashboard_and_of_the_judge_is_one() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(packaging("grafana/creance.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut expressions: Vec<String> = Vec::new();
    for panel in panels {
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{panel}");
        let targets = panel["targets"].as_array().unwrap();
        expressions.extend(targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    let plan = sensor_content::rollout::Plan::parse(sensor_content::rollout::Plan::ROUTINE).unwrap();
    let questions = sensor_content::rollout::prometheus::Question::ALL;
    expressions.extend(questions.map(|question| question.query(1, jiff::SignedDuration::from_hours(70), &plan)));
    // As rules, because that is what promtool checks.
    let rules: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(index, expression)| serde_json::json!({"record": format!("checked:{index}"), "expr": expression}))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let text = serde_json::json!({"groups": [{"name": "checked", "rules": rules}]}).to_string();
    fs::write(directory.path().join("all.yml"), text).unwrap();
    checked(&["check", "rules", "all.yml"], directory.path());
}

#[test]
fn the_service_puts_files_of_events_aside_by_itself_and_a_reload_opens_them_anew() {
    let unit = fs::read_to_string(packaging("creance.service")).unwrap().replace("\\\n", " ");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    let start =
        value("ExecStart=").replace("--group creance", "--group root").replace("$CREANCE_OPTIONS", "--rotate-keep 30");
    let matches = sensor_user::cli::command().try_get_matches_from(start.split_whitespace()).unwrap();
    let (_, daemon) = matches.subcommand().unwrap();
    assert_eq!(daemon.get_one("rotate_size"), Some(&104_857_600_u64));
    assert_eq!(daemon.get_one("rotate_age"), Some(&86_400_u64));
    assert_eq!(daemon.get_one::<std::num::NonZeroU32>("rotate_keep").unwrap().get(), 30, "the owner's option counts");
    assert_eq!(value("ExecReload="), "/bin/kill -HUP $MAINPID");
    assert!(!packaging("creance.logrotate").exists(), "nobody else puts them aside");
}
