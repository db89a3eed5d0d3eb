//! A publisher with keys, commands and a repository, and the hosts that follow it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use sensor_content::rollout::Ring;
use tempfile::TempDir;

use crate::host::Host;

/// A plan whose hours are seconds.
const PLAN: &str = r#"
control = { early = "20%", general = "10%", late = "10%" }
[judge]
error_rate = 0.002
suspicion = 0.02
ratio = 1.5
refusals = "0.1%"
grace = "5s"
stale = "10s"
step = "5s"
[[stage]]
name = "canary"
open = { early = "0%" }
hosts_per_kernel = 10
ramp = "3s"
soak = "7s"
[[stage]]
name = "general"
open = { early = "100%", general = "100%" }
hosts_per_kernel = 10
ramp = "3s"
soak = "7s"
[[stage]]
name = "everyone"
open = { early = "100%", general = "100%", late = "100%" }
hosts_per_kernel = 10
ramp = "2s"
soak = "6s"
"#;

/// Kernels of the hosts.
pub const KERNELS: [&str; 2] = ["6.1", "6.12"];

pub struct World {
    pub hosts: Vec<Host>,
    directory: TempDir,
}

impl World {
    /// A repository without content; keys in `keys/`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = Self { hosts: Vec::new(), directory };
        fs::create_dir(world.path("keys")).unwrap();
        fs::write(world.path("plan.toml"), PLAN).unwrap();
        for key in ["root1", "root2", "content1", "content2", "content3", "online", "publisher"] {
            world.creance(&format!("bundle keygen keys/{key}"));
        }
        world.creance(
            "repo init repo --root-key keys/root1.key --root-key keys/root2.key --content-key keys/content1.key \
             --content-key keys/content2.key --content-key keys/content3.pub --online-key keys/online.key",
        );
        fs::copy(world.path("repo/metadata/1.root.json"), world.path("root.json")).unwrap();
        world
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// Runs the program; what it said, which must not be an error.
    pub fn creance(&self, arguments: &str) -> String {
        let (said, well) = self.try_creance(arguments);
        assert!(well, "creance {arguments}:\n{said}");
        said
    }

    /// The same, and whether it went well.
    pub fn try_creance(&self, arguments: &str) -> (String, bool) {
        let output = Command::new(env!("CARGO_BIN_EXE_creance"))
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (said, output.status.success())
    }

    /// `creance rollout VERB …` with the place where this publisher works.
    pub fn rollout(&self, verb: &str) -> (String, bool) {
        let (verb, more) = verb.split_once(' ').unwrap_or((verb, ""));
        self.try_creance(&format!("rollout {verb} repo --state desk --key keys/online.key {more}"))
    }

    /// Builds a release with one rule of this id, and adds it to the repository.
    pub fn release(&self, number: u64, rule: &str) {
        let release = format!(
            "generation = {number}\ncategory = \"routine\"\nsoak = \"1s\"\nchangelog = \"{number}\"\n\
             budget = {{ nanoseconds_per_event = 2000, alerts_per_hour = 60 }}\n"
        );
        fs::write(self.path("release.toml"), release).unwrap();
        let rules = self.path(&format!("rules{number}"));
        crate::support::write(&rules, &[crate::support::rule_file(rule)]);
        self.creance(&format!(
            "bundle build release.toml rules{number} --key keys/publisher.key --out {number}.bundle"
        ));
        self.creance(&format!(
            "repo add repo {number}.bundle --key keys/content1.key --key keys/content2.key --key keys/online.key"
        ));
    }

    /// What a host must be told to follow the repository at `address`.
    pub fn policy(&self, address: &str) -> String {
        let root = self.path("root.json");
        format!(
            "[repository]\naddress = [\"{address}\"]\nroot = \"{}\"\npoll = \"1s\"\nannounce = \"5s\"\n",
            root.display()
        )
    }

    /// One more host, which is off.
    pub fn host(&mut self, ring: Ring, kernel: &str, policy: &str) -> &mut Host {
        let name = format!("host{}", self.hosts.len());
        let directory = self.path(&name);
        let host = Host::new(directory, &name, ring, kernel, policy, &self.path("keys/publisher.pub"));
        self.hosts.push(host);
        self.hosts.last_mut().unwrap()
    }

    /// Three in five hosts are early, one in ten late; both kernels in each.
    pub fn fleet(&mut self, count: usize, address: &str) {
        let policy = self.policy(address);
        for index in 0..count {
            let ring = match index * 10 / count {
                0..6 => Ring::Early,
                6..9 => Ring::General,
                _ => Ring::Late,
            };
            self.host(ring, KERNELS[index % 2], &policy);
        }
        self.each(Host::boot);
    }

    /// Does something with each host, some at a time.
    pub fn each(&mut self, what: impl Fn(&mut Host) + Sync) {
        let part = self.hosts.len().div_ceil(4).max(1);
        thread::scope(|scope| {
            for hosts in self.hosts.chunks_mut(part) {
                let what = &what;
                scope.spawn(move || hosts.iter_mut().for_each(what));
            }
        });
    }

    /// All live, and `meanwhile` is done every second, until the condition holds.
    pub fn live(&mut self, what: &str, meanwhile: &mut dyn FnMut(&Self), mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(3);
        let mut last = None::<Instant>;
        loop {
            self.each(Host::tick);
            if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1)) {
                last = Some(Instant::now());
                meanwhile(self);
            }
            if holds(self) {
                return;
            }
            let say = || self.hosts.iter().map(|host| (host.running(), host.fleet())).collect::<Vec<_>>();
            assert!(Instant::now() < deadline, "{what}: not within 5 minutes; {:?}", say());
            thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}
