//! A publisher with keys in its drawers, and a host that trusts it.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    bundle::{Category, Release, Unverified},
    key::PrivateKey,
    repository::{Client, Fetch, Founding, Http, Keys, Lifetime, Metadata, Signers, Tree},
    rollout::{Document, Offer, Order, Plan, Ramp, Ring, Share},
};
use sensor_rules::Source;
use tempfile::TempDir;

use crate::server::Server;

/// Keys 1 to 3 are root keys, 11 to 13 content keys, 21 the online key.
pub const ROOT: [u8; 3] = [1, 2, 3];
pub const CONTENT: [u8; 3] = [11, 12, 13];
pub const ONLINE: [u8; 1] = [21];

pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

pub fn signers(seeds: &[u8]) -> Signers {
    Signers::new(seeds.iter().copied().map(key).collect())
}

pub fn keys(seeds: &[u8], threshold: u64) -> Keys {
    Keys { keys: seeds.iter().map(|seed| key(*seed).public()).collect(), threshold }
}

pub fn founding() -> Founding {
    Founding { root: keys(&ROOT, 2), content: keys(&CONTENT, 2), online: keys(&ONLINE, 1) }
}

pub fn bundle(number: u64) -> Unverified {
    bundle_with(number, "")
}

pub fn bundle_with(number: u64, comment: &str) -> Unverified {
    let release = format!(
        "generation = {number}\ncategory = \"routine\"\nsoak = \"24h\"\nchangelog = \"{number}{comment}\"\n\
         budget = {{ nanoseconds_per_event = 2000, alerts_per_hour = 60 }}\n"
    );
    let text = "rules:\n  - id: fifo\n    title: A FIFO in /tmp is opened\n    severity: high\n    on: fifo.open\n    condition: \
         path.startsWith(\"/tmp/\")\n    action: alert\n    tests:\n      match: [{path: /tmp/f}]\n      no_match: [{path: /home/f}]\n";
    let source = Source { name: "fifo.yaml".into(), text: text.into() };
    Unverified::read(Release::parse(&release).unwrap().build(vec![source], &key(99)).unwrap()).unwrap()
}

/// The ramp that ships for routine releases, which all are here.
pub fn ramp() -> Ramp {
    Ramp::shipped(Category::Routine)
}

/// A document that lets everybody take `release`.
pub fn document(release: u64, serial: u64, order: Order) -> Document {
    let everybody = Offer { share: Some(Share::ALL), ..Offer::default() };
    let offers: BTreeMap<_, _> = Ring::ALL.iter().map(|ring| (*ring, everybody.clone())).collect();
    assert_eq!(offers, Plan::everything());
    Document { release, serial, order, hanging: true, offers, ..Document::default() }
}

/// A publisher's directory, a server, and a host.
pub struct World {
    pub directory: TempDir,
    pub server: Server,
    pub metadata: Metadata,
}

impl World {
    /// Generation 1 exists, and everybody may take it.
    pub fn new() -> Self {
        Self::founded(Timestamp::now(), Lifetime::default())
    }

    pub fn founded(now: Timestamp, lifetime: Lifetime) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let all: Vec<u8> = [ROOT.as_slice(), &CONTENT, &ONLINE].concat();
        let metadata = Metadata::found(&founding(), &signers(&all), lifetime, now).unwrap();
        let tree = Tree::open(&directory.path().join("repo")).unwrap();
        tree.write(&metadata, &[]).unwrap();
        drop(tree);
        let server = Server::of(directory.path().join("repo"));
        let mut world = Self { directory, server, metadata };
        world.add(1, now, lifetime);
        world.offer(&document(1, 1, Order::Offer), now, lifetime);
        world
    }

    pub fn repo(&self) -> PathBuf {
        self.directory.path().join("repo")
    }

    pub fn tree(&self) -> Tree {
        Tree::open(&self.repo()).unwrap()
    }

    pub fn add(&mut self, number: u64, now: Timestamp, lifetime: Lifetime) {
        let bundle = bundle(number);
        assert!(self.metadata.add(&bundle, &ramp(), &signers(&[11, 13, 21]), lifetime, now).unwrap());
        let name = format!("content/{number}.bundle");
        self.tree().write(&self.metadata, &[(name, bundle.bytes())]).unwrap();
    }

    pub fn offer(&mut self, document: &Document, now: Timestamp, lifetime: Lifetime) {
        let bytes = serde_json::to_vec(document).unwrap();
        self.metadata.publish(&bytes, &signers(&ONLINE), lifetime, now).unwrap();
        self.tree().write(&self.metadata, &[("rollout/current.json".into(), &bytes)]).unwrap();
    }

    /// The next document, by the rules.
    pub fn offers(&mut self, release: u64, serial: u64, order: Order) {
        self.offer(&document(release, serial, order), Timestamp::now(), Lifetime::default());
    }

    pub fn host(&self) -> Client {
        self.host_by(Arc::new(Http::new(&[self.server.address()], None).unwrap()))
    }

    pub fn host_by(&self, fetch: Arc<dyn Fetch>) -> Client {
        let first = fs::read_to_string(self.repo().join("metadata/1.root.json")).unwrap();
        let state = self.directory.path().join("host");
        Client::open(fetch, &first, state).unwrap().with_patience(Duration::from_secs(20))
    }

    /// Copies the files as they are now, for somebody to serve later.
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(self.repo().join("metadata")).unwrap() {
            let entry = entry.unwrap();
            let name = format!("metadata/{}", entry.file_name().to_str().unwrap());
            files.insert(name, fs::read(entry.path()).unwrap());
        }
        files
    }
}

pub fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}
