//! Bundles that are cut, forged, packed, or lie: nothing of them stays.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use sensor_content::{key::PrivateKey, life::Stage};
use sensor_rules::Source;
use sensor_user::api::protocol::Refuser;

use super::{Host, altered, altered_of, bundle, bundle_of, content, key, refused, running};
use crate::support::rule_file;

/// Every file below a directory.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { BTreeSet::from([path]) }).collect()
}

/// The bundle with these bytes in place of those, signed by the publisher all the same.
fn patched(number: u64, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let source = Source { name: "aa/x.yaml".into(), ..rule_file("one") };
    let mut bytes = bundle_of(number, vec![source], "routine");
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    let end = bytes.len() - 64;
    let signature = key().sign(&bytes[..end]);
    bytes[end..].copy_from_slice(&signature);
    bytes
}

/// Ten lists of ten of the list before, twenty times.
fn yaml_bomb() -> String {
    let level = |level: u8| {
        let (before, here) = ((b'a' + level) as char, (b'b' + level) as char);
        format!("  {here}: &{here} [{}]\n", vec![format!("*{before}"); 10].join(", "))
    };
    let levels: String = (0..20).map(level).collect();
    format!("lists:\n  A: &a [x, x, x, x, x, x, x, x, x, x]\n{levels}")
}

#[test]
fn no_bad_bundle_changes_anything() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("now");
    let before = files(host.path());
    let whole = bundle(130);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let stranger = PrivateKey::from_seed(&[9; 32]);
    let parts = bundle::decode(&whole).unwrap();
    let of_stranger = bundle::encode(&parts.manifest, &[&parts.sources[0].text], &stranger).unwrap();
    // A frame of zstd whose 100 blocks are 128 KiB of one byte each; a header of gzip; a tar archive with a
    // name that leads out.
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58][..], &[0x02, 0x00, 0x10, 0x00].repeat(100)].concat();
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 64]].concat();
    let mut tar = [&b"../../etc/creance/keys/other.pub"[..], &[0; 992]].concat();
    tar[257..262].copy_from_slice(b"ustar");
    let claims_much = [bundle::MAGIC, &u32::MAX.to_le_bytes()].concat();
    let cases = [
        ("cut in the middle", whole[..whole.len() / 2].to_vec(), "is cut"),
        ("cut by a byte", whole[..whole.len() - 1].to_vec(), "is cut"),
        ("with a byte more", [&whole[..], b"x"].concat(), "too many"),
        ("changed", flipped, ""),
        ("by another key", of_stranger, "not trusted here"),
        ("for another architecture", altered(130, |manifest, _| manifest.architecture = "aarch64".into()), "aarch64"),
        ("packed with zstd", zstd, "no bundle"),
        ("packed with gzip", gzip, "no bundle"),
        ("an archive", tar, "no bundle"),
        ("that claims four gigabytes", claims_much, "the longest has"),
        ("larger than any", vec![0; bundle::BUNDLE_MAX + 1], "larger than"),
        ("with a bomb of YAML", altered(130, |_, text| *text = yaml_bomb().into()), "its own tests fail here"),
        ("with a name that leads out", patched(130, "aa/x.yaml", "../x.yaml"), "makes no sense"),
        ("with a name from the root", patched(130, "aa/x.yaml", "/aa/x.yml"), "makes no sense"),
        ("older than what runs", bundle(119), "newer, is in force"),
        ("with a lie about a rule", altered(130, |manifest, _| manifest.rules[0].id = "harmless".into()), "lies"),
        ("with a rule not named", altered(130, |manifest, _| manifest.rules.clear()), "lies"),
    ];
    for (what, bytes, word) in cases {
        let refused = refused(&daemon, &bytes);
        assert!(refused.message.contains(word), "a bundle {what}: {refused:?}");
        assert_eq!(running(&daemon), Some(120), "a bundle {what}");
        assert_eq!(files(host.path()), before, "a bundle {what}");
    }
    assert_eq!(content(&daemon).good, [120]);
    let last = daemon.client().history().unwrap().pop().unwrap();
    assert_eq!((last.generation.number, last.stage), (130, Stage::Rejected), "{last}");
    // What was whole and good is taken afterwards.
    assert_eq!(daemon.client().push_bundle(&whole, false).unwrap().generation, 130);
}

#[test]
fn a_rule_that_counts_is_tested_as_it_was_when_it_was_signed() {
    let text = "rules:\n  - id: many\n    title: A process opens FIFOs again and again\n    severity: low\n    attack: [T1559]\n    \
                on: fifo.open\n    condition: path.startsWith(\"/tmp/\")\n    \
                count: {by: process.pid, within: 10s, more_than: 20}\n    tests:\n      match:\n        \
                - [{path: /tmp/f, times: 21}]\n      no_match:\n        \
                - [{path: /tmp/f, times: 20}, {path: /tmp/f, at: 12s, times: 20}]\n        - {path: /run/f}\n";
    let counting = bundle_of(124, vec![Source { name: "many.yaml".into(), text: text.into() }], "routine");
    let host = Host::with_good(&[120]);
    let daemon = host.boots("now");
    for (right, wrong) in [("at: 12s, times: 20", "at: 8s, times: 20"), ("times: 21", "times: 20")] {
        let lies = altered_of(&counting, |_, text| {
            *text = String::from_utf8(text.clone()).unwrap().replace(right, wrong).into();
        });
        let refused = refused(&daemon, &lies);
        assert!(refused.by == Refuser::Tests && refused.message.contains("its own tests fail here"), "{refused:?}");
        assert_eq!(running(&daemon), Some(120));
    }
    daemon.client().push_bundle(&counting, false).unwrap();
    assert_eq!(running(&daemon), Some(124));
}
