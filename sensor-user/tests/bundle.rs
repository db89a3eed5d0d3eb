//! `creance bundle`, as a publisher meets it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod pages;
mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use support::{rule_file, write};

/// What came of a command: whether it went well, and all it said.
fn creance(directory: &Path, arguments: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_creance"))
        .args(arguments.split(' '))
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    (output.status.success(), said)
}

#[track_caller]
fn well(directory: &Path, arguments: &str) -> String {
    let (well, said) = creance(directory, arguments);
    assert!(well, "{arguments}: {said}");
    said
}

#[track_caller]
fn badly(directory: &Path, arguments: &str, word: &str) {
    let (well, said) = creance(directory, arguments);
    assert!(!well && said.contains(word), "{arguments}: {said}");
}

/// A directory with rules, a release and a pair of keys.
fn publisher() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[rule_file("one"), rule_file("two")]);
    let release = "generation = 124\ncategory = \"routine\"\nsoak = \"24h\"\nchangelog = \"First.\"\n\
                   budget = { nanoseconds_per_event = 2000, alerts_per_hour = 60 }\n";
    fs::write(directory.path().join("release.toml"), release).unwrap();
    well(directory.path(), "bundle keygen publisher");
    directory
}

const BUILD: &str = "bundle build release.toml rules --key publisher.key --out 124.bundle";

#[test]
fn a_release_is_built_shown_verified_and_compared() {
    let directory = publisher();
    let here = directory.path();
    assert!(well(here, BUILD).contains("generation 124, 2 rules in 2 files"));
    let first = fs::read(here.join("124.bundle")).unwrap();
    // Where the sources lie does not change the bundle.
    let elsewhere = BUILD.replace(" rules ", &format!(" {}/rules/ ", here.display())).replace("124.", "same.");
    well(here, &elsewhere);
    assert_eq!(fs::read(here.join("same.bundle")).unwrap(), first);

    assert!(
        well(here, "bundle verify 124.bundle --key publisher.pub")
            .contains("2 rules as the manifest says, 4 tests right")
    );
    let shown = well(here, "bundle show 124.bundle --key publisher.pub");
    for part in [
        "signature     good",
        "generation    124, routine",
        "changelog     First.",
        "rule          one: block on fifo.open",
        "file          one.yaml,",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    assert!(well(here, "bundle show 124.bundle").contains("NOT CHECKED"));

    fs::write(here.join("rules/two.yaml"), rule_file("three").text).unwrap();
    well(here, &BUILD.replace("124.bundle", "125.bundle"));
    let differs = well(here, "bundle diff 124.bundle 125.bundle --key publisher.pub");
    assert!(differs.contains("rule added: three") && differs.contains("rule removed: two"), "{differs}");
    assert!(!differs.contains("UNSIGNED"), "{differs}");
}

#[test]
fn what_nobody_vouches_for_is_shown_as_that_and_as_ascii() {
    let directory = publisher();
    let here = directory.path();
    let release = fs::read_to_string(here.join("release.toml")).unwrap().replace("First.", "Größer");
    fs::write(here.join("release.toml"), release).unwrap();
    well(here, BUILD);
    well(here, "bundle keygen stranger");
    let (trusted, said) = creance(here, "bundle show 124.bundle --key stranger.pub");
    assert!(!trusted && said.contains("UNSIGNED for you") && said.contains("Gr\\u{f6}\\u{df}er"), "{said}");
    assert!(well(here, "bundle show 124.bundle --key publisher.pub").contains("Größer"));
    badly(here, "bundle verify 124.bundle --key stranger.pub", "not trusted");
    badly(here, "bundle verify 124.bundle", "--key");
}

#[test]
fn the_same_name_in_two_directories_is_one_problem() {
    let directory = publisher();
    let here = directory.path();
    fs::create_dir(here.join("more")).unwrap();
    fs::write(here.join("more/one.yaml"), rule_file("other").text).unwrap();
    let (done, said) = creance(here, &BUILD.replace(" rules ", " rules more "));
    assert!(!done && said.contains("two rule files are called `one.yaml`"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!here.join("124.bundle").exists());
}

#[test]
fn keys_are_made_whole_and_once() {
    let directory = publisher();
    let here = directory.path();
    let (private, public) =
        (fs::read(here.join("publisher.key")).unwrap(), fs::read(here.join("publisher.pub")).unwrap());
    badly(here, "bundle keygen publisher", "is there already");
    assert_eq!(fs::read(here.join("publisher.key")).unwrap(), private);
    assert_eq!(fs::read(here.join("publisher.pub")).unwrap(), public);
    fs::write(here.join("half.key"), "mine").unwrap();
    badly(here, "bundle keygen half", "is there already");
    assert!(!here.join("half.pub").exists());
    badly(here, "bundle keygen nowhere/x", "cannot be written");
    assert_eq!(fs::metadata(here.join("publisher.key")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn no_file_makes_a_command_wait() {
    let directory = publisher();
    let here = directory.path();
    well(here, BUILD);
    rustix::fs::mknodat(rustix::fs::CWD, here.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for name in ["fifo", "/dev/zero", "rules"] {
        badly(here, &format!("bundle verify 124.bundle --key {name}"), "no regular file");
        badly(here, &format!("bundle show {name}"), "no regular file");
        badly(here, &BUILD.replace("publisher.key", name), "no regular file");
        badly(here, &BUILD.replace("release.toml", name), "no regular file");
    }
    badly(here, "bundle verify 124.bundle --key publisher.key", "private key");
    badly(here, &BUILD.replace("publisher.key", "publisher.pub"), "no Ed25519 private key");
    badly(here, "bundle show release.toml", "no bundle");
}

#[test]
fn a_bundle_for_another_sensor_is_shown_and_not_verified() {
    use sensor_content::{bundle, digest::Digest, key::PrivateKey};
    let directory = publisher();
    let here = directory.path();
    well(here, BUILD);
    let parts = bundle::decode(&fs::read(here.join("124.bundle")).unwrap()).unwrap();
    let manifest = bundle::Manifest { contract: Digest::of(b"20 fields"), ..parts.manifest };
    let texts: Vec<&[u8]> = parts.sources.iter().map(|source| source.text.as_slice()).collect();
    let key = PrivateKey::from_pem(&fs::read_to_string(here.join("publisher.key")).unwrap()).unwrap();
    fs::write(here.join("other.bundle"), bundle::encode(&manifest, &texts, &key).unwrap()).unwrap();
    assert!(well(here, "bundle show other.bundle --key publisher.pub").contains("ANOTHER SENSOR"));
    let differs = well(here, "bundle diff 124.bundle other.bundle --key publisher.pub");
    assert!(differs.contains("made for the field table") && differs.contains("contract:"), "{differs}");
    badly(here, "bundle verify other.bundle --key publisher.pub", "field table");
}

/// The rule files that the page about the language shows.
fn rules_of_the_page() -> Vec<String> {
    let blocks = pages::blocks(include_str!("../../docs/language.md"), "yaml");
    blocks.into_iter().map(str::to_owned).filter(|block| block.starts_with("rules:")).collect()
}

#[test]
fn the_rules_of_the_language_page_are_taken_by_test_and_build_alike() {
    let directory = publisher();
    let here = directory.path();
    let files = rules_of_the_page();
    assert!(files.iter().any(|file| file.contains("count:") && file.contains("after:")), "{files:?}");
    fs::remove_dir_all(here.join("rules")).unwrap();
    fs::create_dir(here.join("rules")).unwrap();
    for (number, file) in files.iter().enumerate() {
        fs::write(here.join(format!("rules/{number}.yaml")), file).unwrap();
    }
    assert!(well(here, "test rules").contains("all right"));
    well(here, BUILD);
    assert!(well(here, "bundle verify 124.bundle --key publisher.pub").contains("tests right"));
}

#[test]
fn a_wrong_test_of_a_count_is_refused_by_test_and_build_alike() {
    let directory = publisher();
    let here = directory.path();
    let page = rules_of_the_page().concat();
    for (right, wrong) in [
        ("- {path: /run/f}", "- {path: /tmp/f}"),
        ("{path: /tmp/f, times: 21}", "{path: /tmp/f, times: 20}"),
        ("at: 6s", "at: 5s"),
    ] {
        assert!(page.contains(right), "{right}");
        fs::write(here.join("rules/two.yaml"), page.replace(right, wrong).replace("\nrules:\n", "\n")).unwrap();
        badly(here, "test rules", "FAILED rules/two.yaml:");
        badly(here, BUILD, "the rules' own tests fail");
        assert!(!here.join("124.bundle").exists());
    }
}

/// A host without a policy takes every release; a policy that was named must be there.
#[test]
fn a_host_without_a_policy_says_what_holds_then() {
    let directory = publisher();
    let here = directory.path();
    well(here, BUILD);
    badly(here, "policy explain 124.bundle --policy none.toml", "none.toml");
    if !Path::new("/etc/creance/content.toml").exists() {
        let said = well(here, "policy explain 124.bundle --state none");
        assert!(said.contains("takes every release at once") && said.contains("now"), "{said}");
    }
}

#[test]
fn a_bundle_is_never_overwritten() {
    let directory = publisher();
    let here = directory.path();
    well(here, BUILD);
    let first = fs::read(here.join("124.bundle")).unwrap();
    fs::write(here.join("rules/two.yaml"), rule_file("three").text).unwrap();
    badly(here, BUILD, "124.bundle is there already, and is kept");
    assert_eq!(fs::read(here.join("124.bundle")).unwrap(), first);
}
