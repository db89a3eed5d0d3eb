//! Bundles: made the same each time, and refused where anything about them is wrong.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::LazyLock;

use proptest::prelude::*;
use sensor_content::{
    bundle::{
        BUNDLE_MAX, BuildError, Bundle, Distrust, Engine, MAGIC, MANIFEST_MAX, Malformed, Manifest, Misfit, Nonsense,
        Release, Untrue, Unverified, decode, diff, encode,
    },
    digest::Digest,
    key::{PrivateKey, PublicKey},
};
use sensor_rules::Source;

const RELEASE: &str = r#"
generation = 124
category = "routine"
soak = "24h"
changelog = "FIFOs in /tmp\nand nothing else"
budget = { nanoseconds_per_event = 2000, alerts_per_hour = 60 }
[[verified]]
kernel = "6.12.117+deb12-cloud-amd64"
instructions = { "fifo.open" = 153 }
"#;

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[1; 32])
}

fn trusted() -> [PublicKey; 1] {
    [key().public()]
}

fn source(name: &str) -> Source {
    let id = name.trim_end_matches(".yaml").replace('/', "-");
    let text = format!(
        "rules:\n  - id: {id}\n    title: A FIFO in /tmp is opened\n    severity: high\n    on: fifo.open\n    condition: \
         path.startsWith(\"/tmp/\")\n    action: block\n    tests:\n      match: [{{path: /tmp/f}}]\n      no_match: [{{path: /home/f}}]\n"
    );
    Source { name: name.to_owned(), text: text.into_bytes() }
}

fn sources() -> Vec<Source> {
    ["fifo.yaml", "more/pipe.yaml"].map(source).to_vec()
}

fn built() -> Vec<u8> {
    static BUILT: LazyLock<Vec<u8>> =
        LazyLock::new(|| Release::parse(RELEASE).unwrap().build(sources(), &key()).unwrap());
    BUILT.clone()
}

/// The bundle with a manifest changed by hand, signed by the right key.
fn altered(change: impl FnOnce(&mut Manifest)) -> Result<Vec<u8>, Malformed> {
    let parts = decode(&built()).unwrap();
    let mut manifest = parts.manifest;
    change(&mut manifest);
    let texts: Vec<&[u8]> = parts.sources.iter().map(|source| source.text.as_slice()).collect();
    encode(&manifest, &texts, &key())
}

fn admitted(bytes: Vec<u8>) -> Bundle {
    let bundle = Unverified::read(bytes).unwrap();
    bundle.fits(&Engine::here()).unwrap();
    bundle.signed_by(&trusted()).unwrap()
}

#[test]
fn a_bundle_holds_what_went_in() {
    let bundle = admitted(built());
    assert_eq!((bundle.number(), bundle.manifest().soak), (124, 86400));
    assert_eq!(bundle.sources(), sources());
    let rules = bundle.rules().unwrap();
    assert_eq!(rules.rules().len(), 2);
    assert_eq!(bundle.manifest().rules[1].id, "more-pipe");
    assert_eq!(bundle.manifest().verified[0].instructions["fifo.open"], 153);
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    let mut other_order = sources();
    other_order.reverse();
    let again = Release::parse(RELEASE).unwrap().build(other_order, &key()).unwrap();
    assert_eq!(again, Release::parse(RELEASE).unwrap().build(sources(), &key()).unwrap());
    // By another key it is another file and another identity.
    let other = Release::parse(RELEASE).unwrap().build(sources(), &PrivateKey::from_seed(&[2; 32])).unwrap();
    assert_ne!(decode(&other).unwrap().digest, decode(&again).unwrap().digest);
}

#[test]
fn cut_at_each_byte_it_is_refused() {
    let bytes = built();
    for length in 0..bytes.len() {
        let error = Unverified::read(bytes[..length].to_vec()).unwrap_err();
        assert!(matches!(error, Malformed::Cut(_)), "{length}: {error}");
    }
    let longer = [bytes.as_slice(), b"\0"].concat();
    assert!(matches!(Unverified::read(longer), Err(Malformed::Trailing(1))));
}

#[test]
fn each_flipped_bit_is_noticed() {
    let bytes = built();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << bit;
            let result =
                Unverified::read(flipped).map(|bundle| bundle.signed_by(&trusted()).map(|bundle| bundle.digest()));
            assert!(matches!(result, Err(_) | Ok(Err(_))), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn only_trusted_keys_count() {
    let read = || Unverified::read(built()).unwrap();
    assert_eq!(read().signed_by(&[]).unwrap_err(), Distrust::NoKeys);
    let stranger = PrivateKey::from_seed(&[2; 32]).public();
    assert!(matches!(read().signed_by(std::slice::from_ref(&stranger)), Err(Distrust::UnknownKey { .. })));
    read().signed_by(&[stranger, key().public()]).unwrap();
    // Signed by a stranger who claims to be the trusted key.
    let mut forged = built();
    let end = forged.len() - 64;
    let signature = PrivateKey::from_seed(&[2; 32]).sign(&forged[..end]);
    forged[end..].copy_from_slice(&signature);
    assert!(matches!(Unverified::read(forged).unwrap().signed_by(&trusted()), Err(Distrust::Signature(_))));
    // Never signed at all.
    let mut unsigned = built();
    unsigned[end..].fill(0);
    assert!(matches!(Unverified::read(unsigned).unwrap().signed_by(&trusted()), Err(Distrust::Signature(_))));
}

#[test]
fn a_bundle_for_another_engine_is_refused() {
    let other = altered(|manifest| manifest.contract = Digest::of(b"21 fields")).unwrap();
    let misfit = Unverified::read(other).unwrap().fits(&Engine::here()).unwrap_err();
    assert!(matches!(misfit, Misfit::Contract { .. }));
    assert!(misfit.to_string().contains("field table"), "{misfit}");
    let other = altered(|manifest| manifest.architecture = "aarch64".into()).unwrap();
    assert!(matches!(Unverified::read(other).unwrap().fits(&Engine::here()), Err(Misfit::Architecture { .. })));
    let other = altered(|manifest| (manifest.interfaces.from, manifest.interfaces.to) = (7, 9)).unwrap();
    assert!(matches!(Unverified::read(other).unwrap().fits(&Engine::here()), Err(Misfit::Interface { .. })));
}

#[test]
fn a_manifest_that_lies_about_its_rules_is_refused() {
    let lies: [fn(&mut Manifest); 4] = [
        |manifest| "alert".clone_into(&mut manifest.rules[0].action),
        |manifest| drop(manifest.rules.pop()),
        |manifest| "harmless".clone_into(&mut manifest.rules[1].id),
        |manifest| manifest.rules.clear(),
    ];
    for lie in lies {
        let bundle = admitted(altered(lie).unwrap());
        assert!(matches!(bundle.rules(), Err(Untrue::Rules(_))));
    }
}

#[test]
fn what_deceives_people_is_neither_built_nor_read() {
    for hidden in ["\u{1b}[2Jall is well", "a\u{202e}b", "a\u{2066}b", "\u{feff}", "a\rb", "a\u{0}", "a\u{200b}b"] {
        let release = Release { changelog: hidden.to_owned(), ..Release::parse(RELEASE).unwrap() };
        let error = release.build(sources(), &key()).unwrap_err();
        assert!(matches!(error, BuildError::Nonsense(Nonsense::Text("changelog", _))), "{error}");
        assert!(altered(|manifest| hidden.clone_into(&mut manifest.changelog)).is_err());
        assert!(altered(|manifest| hidden.clone_into(&mut manifest.rules[0].id)).is_err());
        assert!(altered(|manifest| hidden.clone_into(&mut manifest.verified[0].kernel)).is_err());
    }
}

#[test]
fn names_stay_below_the_directory_and_are_there_once() {
    for name in [
        "../x.yaml",
        "/etc/x.yaml",
        "a/../x.yaml",
        "./x.yaml",
        "a//x.yaml",
        ".x.yaml",
        "x\0.yaml",
        "x.txt",
        "",
        "a\\x.yaml",
        "é.yaml",
    ] {
        let named = vec![Source { name: name.to_owned(), ..source("x.yaml") }];
        let error = Release::parse(RELEASE).unwrap().build(named, &key()).unwrap_err();
        assert!(matches!(error, BuildError::Nonsense(Nonsense::Name(_))), "{name}: {error}");
        assert!(altered(|manifest| name.clone_into(&mut manifest.files[0].name)).is_err(), "{name}");
    }
    let twice = vec![source("x.yaml"), source("x.yaml")];
    let message = Release::parse(RELEASE).unwrap().build(twice, &key()).unwrap_err().to_string();
    assert!(message.contains("two rule files are called `x.yaml`"), "{message}");
    assert_eq!(message.lines().count(), 1);
    assert!(altered(|manifest| manifest.files.swap(0, 1)).is_err());
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let named = vec![Source { name: "x.yaml".into(), text: b"rules:\n  - id: \xff\n".to_vec() }];
    assert!(matches!(Release::parse(RELEASE).unwrap().build(named, &key()), Err(BuildError::Rules(_))));
    let parts = decode(&built()).unwrap();
    let texts: Vec<Vec<u8>> = parts.sources.iter().map(|source| vec![0xff; source.text.len()]).collect();
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    assert!(matches!(encode(&parts.manifest, &texts, &key()), Err(Malformed::NoText(_))));
}

#[test]
fn rules_that_fail_their_own_tests_make_no_bundle() {
    let text = String::from_utf8(source("x.yaml").text).unwrap().replace("/home/f", "/tmp/home");
    let wrong = vec![Source { name: "x.yaml".into(), text: text.into_bytes() }];
    assert!(matches!(Release::parse(RELEASE).unwrap().build(wrong, &key()), Err(BuildError::Tests(_))));
}

#[test]
fn rules_whose_tests_leave_a_part_untried_make_no_bundle() {
    let text = String::from_utf8(source("x.yaml").text).unwrap();
    let condition = text.lines().find(|line| line.trim_start().starts_with("condition:")).unwrap();
    let text = text.replace(condition, &format!("{condition} && !nonblock"));
    let untried = vec![Source { name: "x.yaml".into(), text: text.into_bytes() }];
    let error = Release::parse(RELEASE).unwrap().build(untried, &key()).unwrap_err();
    assert!(matches!(error, BuildError::Untried(_)), "{error}");
    assert!(error.to_string().contains("`nonblock` is always false"), "{error}");
}

#[test]
fn lengths_are_checked_before_anything_is_allocated() {
    let huge = [MAGIC, &u32::MAX.to_le_bytes()].concat();
    assert!(matches!(decode(&huge), Err(Malformed::LongManifest(u32::MAX))));
    let long = [MAGIC, &u32::try_from(MANIFEST_MAX).unwrap().to_le_bytes(), b"{"].concat();
    assert!(matches!(decode(&long), Err(Malformed::Cut(_))));
    assert!(altered(|manifest| manifest.files[0].size = u32::MAX).is_err());
    assert!(matches!(decode(&vec![0; BUNDLE_MAX + 1]), Err(Malformed::Large)));
    let deep = "[".repeat(100_000);
    let nested = [MAGIC, &100_000_u32.to_le_bytes(), deep.as_bytes()].concat();
    assert!(matches!(decode(&nested), Err(Malformed::Manifest(_))));
}

#[test]
fn a_bomb_of_yaml_is_refused_when_its_rules_are_read() {
    let level = |level: u8| {
        let (before, here) = ((b'a' + level) as char, (b'b' + level) as char);
        format!("  {here}: &{here} [{}]\n", vec![format!("*{before}"); 10].join(", "))
    };
    let levels: String = (0..20).map(level).collect();
    let bomb = format!("lists:\n  A: &a [x, x, x, x, x, x, x, x, x, x]\n{levels}");
    let parts = decode(&built()).unwrap();
    let mut manifest = parts.manifest;
    manifest.files.truncate(1);
    manifest.files[0].size = u32::try_from(bomb.len()).unwrap();
    let bundle = admitted(encode(&manifest, &[bomb.as_bytes()], &key()).unwrap());
    assert!(matches!(bundle.rules(), Err(Untrue::Content(_))));
}

#[test]
fn another_spelling_of_the_same_manifest_is_refused() {
    let bytes = built();
    let length = MAGIC.len();
    let size = u32::from_le_bytes(bytes[length..length + 4].try_into().unwrap());
    let (start, end) = (length + 4, length + 4 + usize::try_from(size).unwrap());
    let json = std::str::from_utf8(&bytes[start..end]).unwrap();
    let contract = decode(&bytes).unwrap().manifest.contract.to_string();
    for spelled in [
        json.replacen(':', ": ", 1),
        json.replacen("routine", "\\u0072outine", 1),
        json.replacen(&contract, &contract.to_uppercase(), 1),
        json.replacen("\"generation\":124", "\"generation\":124,\"generation\":124", 1),
        json.replacen("\"generation\":124", "\"generation\":124.0", 1),
        json.replacen("\"generation\":124", "\"generation\":124,\"extra\":1", 1),
    ] {
        assert_ne!(spelled, json);
        let size = u32::try_from(spelled.len()).unwrap().to_le_bytes();
        let mut body = [MAGIC, &size, spelled.as_bytes(), &bytes[end..bytes.len() - 64]].concat();
        body.extend_from_slice(&key().sign(&body));
        assert!(matches!(decode(&body), Err(Malformed::Spelling | Malformed::Manifest(_))), "{spelled}");
    }
}

#[test]
fn differences_are_named() {
    let old = Unverified::read(built()).unwrap();
    let release = Release { generation: 125, ..Release::parse(RELEASE).unwrap() };
    let text = String::from_utf8(source("fifo.yaml").text).unwrap().replace("action: block", "action: alert");
    let new = release
        .build(vec![Source { name: "fifo.yaml".into(), text: text.into_bytes() }, source("new.yaml")], &key())
        .unwrap();
    let text = diff(&old, &Unverified::read(new).unwrap());
    for part in [
        "generation: 124 -> 125",
        "rule changed: fifo (block on fifo.open -> alert on fifo.open)",
        "rule added: new (",
        "rule removed: more-pipe (",
        "-    action: block\n+    action: alert",
        "+++ /dev/null",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert_eq!(diff(&old, &old), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, length: u32, json in "[\\[\\]{}:,\"a-z0-9 ]{0,80}") {
        prop_assert!(decode(&bytes).is_err());
        let begun = [MAGIC, &length.to_le_bytes(), &bytes].concat();
        prop_assert!(decode(&begun).is_err());
        let size = u32::try_from(json.len()).unwrap().to_le_bytes();
        prop_assert!(decode(&[MAGIC, &size, json.as_bytes(), &bytes].concat()).is_err());
    }

    #[test]
    fn a_bundle_changed_anywhere_is_not_the_publishers(at: prop::sample::Index, with: Vec<u8>, remove in 0..40_usize) {
        let bytes = built();
        let at = at.index(bytes.len());
        let changed = [&bytes[..at], &with, &bytes[(at + remove).min(bytes.len())..]].concat();
        let signed = Unverified::read(changed.clone()).ok().and_then(|bundle| bundle.signed_by(&trusted()).ok());
        prop_assert!(signed.is_none() || changed == bytes);
    }
}
