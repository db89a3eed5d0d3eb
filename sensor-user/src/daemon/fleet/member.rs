//! From poll to push: what the repository says, what the owner wants, and when.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    fleet::{Arm, Enrolment, Seat, Standing, Wish, until_poll},
    policy::{Policy, Repository},
    repository::{Client, Fetch, Files, Http, Listed, View},
    rollout::{Document, Order, Signal},
};

use super::{Machine, ledger::Ledger, pace::PaceMaker};
use crate::{
    api::{fleet::Fleet, protocol::Refuser},
    daemon::{core::Core, generations::options::PushOptions},
    host::{files, ramps, settings::Settings},
    kernel::engine::Engine,
    log::say,
};

/// Longest root, bytes.
const ROOT_MAX: usize = 1 << 20;
/// So often it is written how long the daemon was up, and looked how many alerts there were.
const MINUTE: Duration = Duration::from_mins(1);
/// What could not be taken for a reason of this host's own is tried again after so long.
const PATIENCE: Duration = Duration::from_hours(1);
/// Minutes for which counts of alerts are kept.
const HOUR: usize = 60;

/// A release that was fetched and is not loaded yet: first it must be seen that it was fetched.
struct Pending {
    listed: Listed,
    bytes: Vec<u8>,
    since: Instant,
    scrapes: u64,
}

/// What could not be taken for a reason of this host's own.
struct PutOff {
    listed: Listed,
    since: Instant,
    why: String,
}

/// Polls the repository and pushes what is offered to this host.
pub struct Member {
    machine: Machine,
    directory: PathBuf,
    ledger: Arc<Ledger>,
    pace: PaceMaker,
    /// The repository as the policy names it, and the client for it.
    source: Option<(Repository, Client)>,
    next_poll: Option<Instant>,
    polled: Option<Timestamp>,
    pending: Option<Pending>,
    /// What was pushed and judges in the shadow first.
    shadowed: Option<Listed>,
    put_off: Option<PutOff>,
    trouble: Option<String>,
    minute: Instant,
    /// What rules had matched at the end of each of the last minutes.
    matched: Vec<u64>,
    doing: String,
}

impl Member {
    /// The host as it remembers itself. `None` where the daemon keeps no generations.
    pub fn open<E: Engine>(core: &Core<E>, machine: Machine) -> Option<Self> {
        let Settings { state, boot, .. } = core.generations().settings()?;
        let known = core.generations().ramps()?;
        let directory = ramps::place(&state);
        let ledger = Ledger::open(directory.clone(), &machine, &boot)
            .map_err(|error| say(format_args!("WARNING: no repository is followed: {}: {error}", directory.display())))
            .ok()?;
        let ledger = Arc::new(ledger);
        core.fleet().set_ledger(&ledger);
        Some(Self {
            pace: PaceMaker::new(directory.clone(), known),
            machine,
            directory,
            ledger,
            source: None,
            next_poll: None,
            polled: None,
            pending: None,
            shadowed: None,
            put_off: None,
            trouble: None,
            minute: Instant::now(),
            matched: Vec::new(),
            doing: String::new(),
        })
    }

    /// Does what is to be done now: to be called every few seconds.
    pub fn tick<E: Engine>(&mut self, core: &Core<E>) {
        let policy = core.generations().policy();
        self.follow(&policy);
        self.poll();
        self.keep_pace(core, &policy);
        self.obey(core, &policy);
        self.watch(core);
        if policy.repository().is_some() {
            core.fleet().write(self.board(&policy));
        }
    }

    /// Takes up the repository that the policy names.
    fn follow(&mut self, policy: &Policy) {
        let named = policy.repository();
        if self.source.as_ref().map(|(known, _)| known) == named {
            return;
        }
        self.source = None;
        let Some(repository) = named else { return };
        match self.client(repository) {
            Ok(client) => {
                if client.began_anew() {
                    say(format_args!(
                        "{} is another root than before: what was known of the repository is forgotten, and it is believed by this one",
                        repository.root.display()
                    ));
                }
                self.source = Some((repository.clone(), client));
                self.next_poll = None;
            }
            Err(error) => self.troubled(format!("{error:#}")),
        }
    }

    fn client(&self, repository: &Repository) -> anyhow::Result<Client> {
        let root = files::read_text(&repository.root, ROOT_MAX, "root of a repository")?;
        let fetch: Arc<dyn Fetch> = match repository.addresses.first().and_then(|first| first.strip_prefix("file://")) {
            Some(directory) => Arc::new(Files::new(directory.into())),
            None => Arc::new(
                Http::new(&repository.addresses, repository.proxy.as_deref())
                    .map_err(|error| anyhow::anyhow!(error))?,
            ),
        };
        Ok(Client::open(fetch, &root, self.directory.clone())?)
    }

    fn poll(&mut self) {
        let Some((repository, client)) = &mut self.source else { return };
        let every = Duration::try_from(repository.poll).unwrap_or(MINUTE);
        let now = Timestamp::now();
        let wait = || Instant::now() + until_poll(self.machine.host, every, now);
        let due = *self.next_poll.get_or_insert_with(wait);
        if Instant::now() < due {
            return;
        }
        self.next_poll = Some(wait());
        match client.poll(now) {
            Ok(_) => {
                self.polled = Some(now);
                self.trouble = None;
            }
            Err(error) => self.troubled(error.to_string()),
        }
    }

    /// The gate learns what exists, and how fast the content keys allow it.
    fn keep_pace<E: Engine>(&mut self, core: &Core<E>, policy: &Policy) {
        let seat = Seat { host: self.machine.host, ring: policy.ring(), hangs: self.machine.hangs };
        let client = self.source.as_ref().map(|(_, client)| client);
        let issued = client.and_then(Client::issued);
        self.pace.passes(seat, issued, client.into_iter().flat_map(|client| client.view().releases()));
        core.generations().keep_pace(self.pace.ramps());
    }

    /// Does what the repository said last, as far as the owner wants it. What has expired may stop content,
    /// and brings none.
    fn obey<E: Engine>(&mut self, core: &Core<E>, policy: &Policy) {
        let Some((_, client)) = &self.source else { return };
        let (view, fresh) = (client.view().clone(), client.fresh(Timestamp::now()).is_ok());
        let Some(document) = &view.document else {
            return "nothing is rolled out".clone_into(&mut self.doing);
        };
        let charge = core.generations().take_charge();
        if let Some((number, signal)) = charge
            && let Some(listed) = view.listed.get(&number)
        {
            self.record_refusal(*listed, document, signal);
        }
        if document.order == Order::Revoke {
            self.pending.take_if(|pending| pending.listed.id.number == document.release);
            core.generations().withdraw(document.release, view.listed.get(&document.release).map(|listed| listed.id));
        }
        if !fresh {
            self.pending = None;
            return "nothing new is taken: what is known has expired".clone_into(&mut self.doing);
        }
        if let Some(listed) = self.shadowed {
            if core.generations().in_shadow() == Some(listed.id.number) {
                self.doing = format!("generation {} judges in the shadow", listed.id.number);
                return;
            }
            self.shadowed = None;
        }
        let offered = self.offered(core, policy, &view, document);
        let wanted = core.generations().wanted(&offered);
        self.enrol_control(core, policy, &view, document);
        match wanted {
            None => {
                self.pending = None;
                let put_off = self.put_off().map(|PutOff { listed, why, .. }| {
                    format!("generation {} is tried again within the hour: {why}", listed.id.number)
                });
                let waits = || offered.iter().find_map(|listed| self.pace.ramps().waits(listed.id));
                let waits = || waits().map(|waits| format!("it is offered, and {waits}"));
                self.doing = put_off.or_else(waits).unwrap_or_else(|| "nothing is to be taken now".to_owned());
            }
            Some(listed) => self.take(core, listed, document),
        }
    }

    fn standing<'a>(machine: &'a Machine, policy: &Policy, running: u64) -> Standing<'a> {
        let Machine { host, kernel, hangs, .. } = machine;
        Standing { host: *host, ring: policy.ring(), kernel, hangs: *hangs, running }
    }

    /// What is offered to this host, and was not refused here.
    fn offered<E: Engine>(&self, core: &Core<E>, policy: &Policy, view: &View, document: &Document) -> Vec<Listed> {
        let exist: Vec<_> = view.listed.keys().copied().collect();
        let Wish::Take(numbers) =
            Self::standing(&self.machine, policy, core.generations().running()).wish(document, &exist)
        else {
            return Vec::new();
        };
        let offered = numbers.iter().filter_map(|number| view.listed.get(number).copied());
        let put_off = self.put_off().map(|put_off| put_off.listed);
        offered.filter(|listed| put_off != Some(*listed) && !self.has_refused(listed)).collect()
    }

    fn put_off(&self) -> Option<&PutOff> {
        self.put_off.as_ref().filter(|put_off| put_off.since.elapsed() < PATIENCE)
    }

    fn has_refused(&self, listed: &Listed) -> bool {
        self.ledger.read(|membership| membership.has_refused(listed.id, &self.machine.kernel))
    }

    /// Where this host is one of those that are compared, and would take the release now if it were offered,
    /// it is counted from now on.
    fn enrol_control<E: Engine>(&mut self, core: &Core<E>, policy: &Policy, view: &View, document: &Document) {
        let standing = Self::standing(&self.machine, policy, core.generations().running());
        if document.order != Order::Offer || !standing.is_control(document) {
            return;
        }
        let release = view.listed.get(&document.release).copied();
        if release.is_some_and(|release| core.generations().would_want(&release)) {
            self.enrol(Arm::Control, document, policy);
        }
    }

    fn enrol(&mut self, arm: Arm, document: &Document, policy: &Policy) {
        let enrolment = Enrolment {
            release: document.release,
            stage: document.stage,
            arm,
            ring: policy.ring(),
            kernel: self.machine.kernel.clone(),
            since: Timestamp::now(),
            watched: 0,
            mishaps: BTreeMap::new(),
        };
        if self.ledger.change(|membership| membership.enrol(enrolment)) {
            self.matched.clear();
        }
    }

    /// Fetches the release, waits until that has been seen, and puts it in force.
    fn take<E: Engine>(&mut self, core: &Core<E>, listed: Listed, document: &Document) {
        let Some((repository, client)) = &self.source else { return };
        let number = listed.id.number;
        let announce = Duration::try_from(repository.announce).unwrap_or(MINUTE);
        let pending = self.pending.take().filter(|pending| pending.listed == listed);
        let Some(pending) = pending else {
            match client.bundle(number, Timestamp::now()) {
                Ok(bytes) => {
                    if number == document.release && !document.finished {
                        let policy = core.generations().policy();
                        self.enrol(Arm::Treated, document, &policy);
                    }
                    self.doing = format!("generation {number} is fetched, and loaded when that has been seen");
                    let (since, scrapes) = (Instant::now(), core.fleet().scrapes());
                    self.pending = Some(Pending { listed, bytes, since, scrapes });
                }
                Err(error) => self.troubled(format!("generation {number}: {error}")),
            }
            return;
        };
        if core.fleet().scrapes() == pending.scrapes && pending.since.elapsed() < announce {
            self.pending = Some(pending);
            return;
        }
        match core.push_bundle(pending.bytes, PushOptions::default()) {
            Ok(pushed) if pushed.shadow.is_some() => self.shadowed = Some(listed),
            Ok(_) => {
                say(format_args!("generation {number} is in force, from the repository"));
                self.doing = format!("generation {number} was taken");
            }
            // It asks again when its owner may want it.
            Err(refused) if refused.by == Refuser::Policy => self.doing = refused.message,
            Err(refused) if refused.by.is_of_rules() => {
                say(format_args!("generation {number} from the repository is refused: {}", refused.message));
                self.record_refusal(listed, document, Signal::Refusal);
            }
            // A full disk, or a key that is not there, says nothing of the release.
            Err(refused) => {
                self.troubled(format!("generation {number}: {}", refused.message));
                self.put_off = Some(PutOff { listed, since: Instant::now(), why: refused.message });
            }
        }
    }

    /// The release is not asked for again on this kernel, and the judge must know why.
    fn record_refusal(&mut self, listed: Listed, document: &Document, signal: Signal) {
        self.ledger.change(|membership| {
            if document.release == listed.id.number {
                membership.note_once(signal);
            }
            membership.refused(listed.id, &self.machine.kernel);
        });
    }

    /// Counts how long the daemon was up, and whether there were more alerts than the release may bring.
    fn watch<E: Engine>(&mut self, core: &Core<E>) {
        let passed = self.minute.elapsed();
        if passed < MINUTE || self.ledger.read(|membership| membership.enrolment().is_none()) {
            return;
        }
        self.minute = Instant::now();
        let mut flood = false;
        let alerts = core.generations().alerts();
        if let Some((budget, matched)) = alerts {
            self.matched.push(matched);
            let surplus = self.matched.len().saturating_sub(HOUR + 1);
            self.matched.drain(..surplus);
            let first = self.matched.first().copied().unwrap_or(matched);
            flood = matched.saturating_sub(first) > budget;
        }
        self.ledger.change(|membership| {
            membership.watched(SignedDuration::try_from(passed).unwrap_or(SignedDuration::ZERO));
            if flood {
                membership.note_once(Signal::Flood);
            }
        });
    }

    fn troubled(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            say(format_args!("WARNING: repository: {trouble}"));
        }
        self.trouble = Some(trouble);
    }

    fn board(&self, policy: &Policy) -> Fleet {
        let view = self.source.as_ref().map(|(_, client)| client.view());
        let document = view.and_then(|view| view.document.as_ref());
        Fleet {
            ring: policy.ring(),
            kernel: self.machine.kernel.clone(),
            polled: self.polled,
            expires: view.filter(|_| self.polled.is_some()).map(|view| view.expires),
            release: document.map(|document| (document.release, document.order)),
            earliest: document.and_then(|document| {
                let listed = view?.listed.get(&document.release)?;
                self.pace.ramps().waits(listed.id).map(|waits| waits.to_string())
            }),
            enrolment: self.ledger.read(|membership| membership.enrolment().cloned()),
            doing: self.doing.clone(),
            trouble: self.trouble.clone(),
        }
    }
}
