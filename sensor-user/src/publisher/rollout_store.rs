//! What the publisher remembers between two steps: `current.json`, and every decision with all that it was made of.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use sensor_content::{
    key::PrivateKey,
    repository::{DOCUMENT, Lifetime, Metadata, Signers, Tree},
    rollout::{Census, Decision, Document, Health, Pace, Plan, State, step},
};
use serde::{Deserialize, Serialize};

use crate::host::files::{self, Existing};

/// Longest state, bytes.
const STATE_MAX: usize = 64 << 20;

/// A roll-out as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The plan as it was when the roll-out began.
    pub plan: Plan,
    /// How far it came.
    pub state: State,
    /// When it began.
    pub started: Timestamp,
    /// How the fleet was when it was looked last.
    pub health: Health,
    /// Why it stands where it stands.
    pub reasons: Vec<String>,
    /// The fastest that hosts will be, as the content keys had signed it by the last step.
    #[serde(default)]
    pub pace: Option<Pace>,
}

impl Rollout {
    /// One that begins.
    pub fn start(plan: Plan, state: State) -> Self {
        let now = state.stepped;
        let health = Health { taken: None, census: Census::new(), stages: Vec::new() };
        Self { plan, state, started: now, health, reasons: Vec::new(), pace: None }
    }
}

/// Where a publisher works: the repository, and a directory beside it that nobody else reads.
#[derive(Debug)]
pub struct RolloutStore {
    tree: Tree,
    metadata: Metadata,
    directory: PathBuf,
}

/// What was signed, and is to be written into the repository.
enum Signed {
    Nothing,
    /// The same for longer.
    Renewed,
    /// This document.
    Document(Vec<u8>),
}

impl RolloutStore {
    /// The store of the repository `tree`, with its state in `directory`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open((tree, metadata): (Tree, Metadata), directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        Ok(Self { tree, metadata, directory: directory.to_owned() })
    }

    /// The generations that exist.
    pub fn generations(&self) -> Vec<u64> {
        self.metadata.generations()
    }

    /// The roll-out under way, or the last one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn rollout(&self) -> anyhow::Result<Option<Rollout>> {
        Self::read(&self.directory)
    }

    /// The same, to look at it only.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(directory: &Path) -> anyhow::Result<Option<Rollout>> {
        let path = directory.join("current.json");
        if !path.exists() {
            return Ok(None);
        }
        let text = files::read_text(&path, STATE_MAX, "state of a roll-out")?;
        let rollout = serde_json::from_str(&text);
        Ok(Some(rollout.with_context(|| format!("{} is no state of a roll-out", path.display()))?))
    }

    /// Makes a step with what is known: decides, signs, writes the decision down, remembers, publishes.
    ///
    /// # Errors
    /// What was published is in force still. With a key that does not sign, nothing else has changed either; a step
    /// that was written down and could not be published is made again by the next.
    pub fn step(&mut self, rollout: &mut Rollout, key: PrivateKey, now: Timestamp) -> anyhow::Result<Decision> {
        let decision = step(&rollout.plan, &rollout.state, &rollout.health, now);
        let signed = self.sign(&decision.document, key, now)?;
        self.record(&decision)?;
        rollout.state = decision.after.clone();
        // It decides nothing here: each host holds to it.
        rollout.pace = self.metadata.pace(rollout.state.release).ok().flatten();
        rollout.reasons.clone_from(&decision.reasons);
        let text = serde_json::to_vec(&rollout)?;
        files::write(&self.directory.join("current.json"), &text, 0o600, Existing::Replace)?;
        self.write(&signed)?;
        Ok(decision)
    }

    /// Whether the repository says what the roll-out stands at.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub fn is_published(&self, rollout: &Rollout) -> anyhow::Result<bool> {
        let State { release, order, .. } = &rollout.state;
        Ok(self.published()?.is_some_and(|there| (&there.release, &there.order) == (release, order)))
    }

    /// The document in force.
    fn published(&self) -> anyhow::Result<Option<Document>> {
        let there = self.tree.document(&self.metadata)?;
        Ok(there.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Signs a document, unless the one in force says the same and is signed for long enough: whatever is
    /// published, all hosts fetch. Nothing is written yet.
    fn sign(&mut self, document: &Document, key: PrivateKey, now: Timestamp) -> anyhow::Result<Signed> {
        if self.published()?.is_some_and(|there| Document { serial: document.serial, ..there } == *document) {
            return self.sign_again(key, now);
        }
        let bytes = serde_json::to_vec(document)?;
        self.metadata.publish(&bytes, &Signers::new(vec![key]), Lifetime::default(), now)?;
        Ok(Signed::Document(bytes))
    }

    /// Signs for longer what expires soon.
    fn sign_again(&mut self, key: PrivateKey, now: Timestamp) -> anyhow::Result<Signed> {
        let lifetime = Lifetime::default();
        let renewed = self.metadata.renew(lifetime.timestamp / 2, &Signers::new(vec![key]), lifetime, now)?;
        Ok(if renewed.is_empty() { Signed::Nothing } else { Signed::Renewed })
    }

    /// Writes what was signed into the repository.
    fn write(&self, signed: &Signed) -> anyhow::Result<()> {
        match signed {
            Signed::Nothing => {}
            Signed::Renewed => self.tree.write(&self.metadata, &[])?,
            Signed::Document(bytes) => self.tree.write(&self.metadata, &[(DOCUMENT.to_owned(), bytes)])?,
        }
        Ok(())
    }

    /// Signs anew what expires soon, where there is nothing new to publish.
    ///
    /// # Errors
    /// It is not signed.
    pub fn renew(&mut self, key: PrivateKey, now: Timestamp) -> anyhow::Result<bool> {
        let signed = self.sign_again(key, now)?;
        self.write(&signed)?;
        Ok(!matches!(signed, Signed::Nothing))
    }

    /// On disk before it is obeyed.
    fn record(&self, decision: &Decision) -> anyhow::Result<()> {
        let path = decisions(&self.directory, decision.after.release);
        let context = || format!("{} cannot be written", path.display());
        let mut line = serde_json::to_vec(decision)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(&path).with_context(context)?;
        file.write_all(&line).and_then(|()| file.sync_all()).with_context(context)
    }

    /// Makes every decision about a release again from what it was made of; how many there are.
    ///
    /// # Errors
    /// One comes out otherwise, or cannot be read.
    pub fn replay(directory: &Path, release: u64) -> anyhow::Result<usize> {
        let path = decisions(directory, release);
        let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut count = 0;
        for line in BufReader::new(file).lines() {
            count += 1;
            let place = || format!("{}:{count}", path.display());
            let decision: Decision = serde_json::from_str(&line?).with_context(place)?;
            let again = decision.replay();
            ensure!(
                again == decision,
                "{}: document {} comes out otherwise: {:?} was decided, because {:?}; now it would be {:?}, because {:?}",
                place(),
                decision.after.serial,
                decision.after.order,
                decision.reasons,
                again.after.order,
                again.reasons
            );
        }
        Ok(count)
    }
}

fn decisions(directory: &Path, release: u64) -> PathBuf {
    directory.join(format!("decisions-{release}.jsonl"))
}
