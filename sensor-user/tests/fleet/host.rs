//! A host: the daemon's core, keeper, member and metrics.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use sensor_common::brakes::RuleKey;
use sensor_content::{
    fleet::host_id,
    life::{BACK_OFF, BootId},
    rollout::{Order, Ring},
};
use sensor_user::{
    api::fleet::Fleet,
    daemon::{
        core::{Core, Permits},
        events::journal::Journal,
        fleet::{Machine, Member},
        generations::keeper::Keeper,
        service::figures,
    },
    host::settings::Settings,
    kernel::probe::Mode,
    metrics,
};

use crate::support::{Fake, FakeBrakes};

pub struct Host {
    pub ring: Ring,
    pub machine: Machine,
    directory: PathBuf,
    /// Rules whose id contains this are refused by its kernel.
    refuses: String,
    boots: u32,
    /// Where its figures are read; its own for good, also while nobody answers there.
    listener: TcpListener,
    up: Option<Up>,
}

struct Up {
    core: Arc<Core<Fake>>,
    member: Member,
    brakes: Arc<FakeBrakes>,
    server: (tokio::sync::oneshot::Sender<()>, thread::JoinHandle<()>),
}

impl Host {
    /// A host with this policy beside its ring and the publisher's keys; it is off.
    pub fn new(directory: PathBuf, name: &str, ring: Ring, kernel: &str, policy: &str, key: &Path) -> Self {
        let etc = directory.join("etc");
        std::fs::create_dir_all(etc.join("keys")).unwrap();
        std::fs::copy(key, etc.join("keys/publisher.pub")).unwrap();
        let machine = Machine { host: host_id(name), kernel: kernel.to_owned(), hangs: false, crashed: None };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let refuses = format!("not-on-{}", kernel.replace('.', "-"));
        let host = Self { ring, machine, directory, refuses, boots: 0, listener, up: None };
        host.set_policy(policy);
        host
    }

    pub fn set_policy(&self, policy: &str) {
        let text = format!("ring = \"{}\"\n{policy}", self.ring.name());
        std::fs::write(self.directory.join("etc/content.toml"), text).unwrap();
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn settings(&self) -> Settings {
        let etc = self.directory.join("etc");
        Settings {
            state: self.directory.join("state"),
            policy: etc.join("content.toml"),
            keys: etc.join("keys"),
            approvals: etc.join("approvals"),
            safe_mode: etc.join("safe-mode"),
            boot: BootId(format!("boot {}", self.boots)),
            program: env!("CARGO_BIN_EXE_creance").into(),
            settle: Duration::ZERO,
            up: Duration::ZERO,
            back_off: BACK_OFF,
        }
    }

    /// Starts the host's kernel and its daemon.
    pub fn boot(&mut self) {
        self.boots += 1;
        self.start();
    }

    /// Starts its daemon.
    pub fn start(&mut self) {
        assert!(self.up.is_none(), "it is up");
        let keeper = Keeper::open(self.settings()).unwrap();
        let engine = Fake::refusing(self.refuses.clone());
        let brakes = Arc::clone(&engine.brakes);
        let core = Core::new(engine, Journal::default(), Mode::Lsm, Permits::default()).keeping(keeper);
        let core = Arc::new(core);
        core.generations().start();
        let member = Member::open(&core, self.machine.clone()).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (text, listener) = (figures::of(&core), self.listener.try_clone().unwrap());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::spawn(metrics::server::serve(listener, text));
                let _ = stopped.await;
            });
        });
        self.up = Some(Up { core, member, brakes, server: (stop, thread) });
    }

    /// Ends its daemon in order, or as SIGKILL does.
    pub fn end(&mut self, in_order: bool) {
        let Some(Up { core, member, brakes: _, server: (stop, thread) }) = self.up.take() else { return };
        drop(stop);
        thread.join().unwrap();
        if in_order {
            core.stop(true);
            drop(member);
        } else {
            std::mem::forget((member, core));
        }
    }

    /// Ends its daemon in order while its member is in the middle of something, which `begun` waits for.
    pub fn end_meanwhile(&mut self, begun: impl FnOnce()) {
        let Up { core, mut member, brakes: _, server: (stop, thread) } = self.up.take().unwrap();
        drop(stop);
        thread.join().unwrap();
        let held = Arc::clone(&core);
        // Nobody waits for it, as for a thread of a process that ends.
        thread::spawn(move || {
            loop {
                member.tick(&held);
                thread::sleep(Duration::from_millis(10));
            }
        });
        begun();
        core.stop(true);
    }

    /// What the daemon does every few seconds.
    pub fn tick(&mut self) {
        if let Some(Up { core, member, .. }) = &mut self.up {
            core.generations().tick();
            core.generations().look_at_shadow();
            member.tick(core);
        }
    }

    /// The kernel's brake holds the first rule of this generation.
    pub fn brake(&self, generation: u64) {
        let brakes = &self.up.as_ref().unwrap().brakes;
        brakes.demoted.lock().unwrap().insert(RuleKey::new(generation, 0));
    }

    pub fn running(&self) -> u64 {
        self.up.as_ref().map_or(0, |up| up.core.generations().running())
    }

    pub fn fleet(&self) -> Option<Fleet> {
        self.up.as_ref().and_then(|up| up.core.fleet().read())
    }

    pub fn order(&self) -> Option<(u64, Order)> {
        self.fleet().and_then(|fleet| fleet.release)
    }

    pub fn scrape(&self) -> String {
        let core = &self.up.as_ref().unwrap().core;
        figures::of(core)().unwrap()
    }

    /// The steps of a generation on this host, in words.
    pub fn history(&self, number: u64) -> Vec<String> {
        let entries = self.up.as_ref().unwrap().core.generations().history().unwrap();
        let own = entries.into_iter().filter(|entry| entry.generation.number == number);
        own.map(|entry| entry.stage.name().to_owned()).collect()
    }

    /// Rules that only alert by the owner's word.
    pub fn restrained(&self) -> Vec<String> {
        let status = self.up.as_ref().unwrap().core.status().unwrap();
        status.content.unwrap().restrained
    }

    /// The last good generations, newest first.
    pub fn good(&self) -> Vec<u64> {
        let status = self.up.as_ref().unwrap().core.status().unwrap();
        status.content.unwrap().good
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end(true);
    }
}
