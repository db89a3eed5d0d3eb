//! A publisher with keys, commands and a repository, and the hosts that follow it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use sensor_content::rollout::Ring;
use sensor_rules::Source;
use tempfile::TempDir;

use crate::{host::Host, vm::Vm};

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

/// A ramp that holds nothing back for longer than a second.
const FAST: &str = r#"
hanging = "1s"
[[step]]
after = "0s"
open = {}
[[step]]
after = "1s"
open = { early = "100%", general = "100%", late = "100%" }
"#;

/// The plan, with so many times as many seconds.
fn plan(times: u32) -> String {
    let seconds = |word: &str| word.strip_suffix('s')?.parse::<u32>().ok();
    let words =
        PLAN.split('"').map(|word| seconds(word).map_or(word.to_owned(), |count| format!("{}s", count * times)));
    words.collect::<Vec<_>>().join("\"")
}

/// How many times slower than this process a VM is, without hardware that helps it.
const SLOW: u32 = 4;

/// The owner's word that the repository at this address, with this root, is followed.
fn following(address: &str, root: &Path) -> String {
    let root = root.display();
    format!("[repository]\naddress = [\"{address}\"]\nroot = \"{root}\"\npoll = \"1s\"\nannounce = \"5s\"\n")
}

/// Kernels of the hosts.
pub const KERNELS: [&str; 2] = ["6.1", "6.12"];

pub struct World {
    pub hosts: Vec<Host>,
    /// Hosts that are VMs, where there are any.
    pub vms: Vec<Vm>,
    directory: TempDir,
}

impl World {
    /// A repository without content; keys in `keys/`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = Self { hosts: Vec::new(), vms: Vec::new(), directory };
        fs::create_dir(world.path("keys")).unwrap();
        fs::write(world.path("plan.toml"), plan(1)).unwrap();
        fs::write(world.path("fast.toml"), FAST).unwrap();
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
        self.release_of(number, &crate::support::rule_file(rule));
    }

    /// Builds a release with these rules, and adds it to the repository.
    pub fn release_of(&self, number: u64, rules: &Source) {
        let release = format!(
            "generation = {number}\ncategory = \"routine\"\nsoak = \"1s\"\nchangelog = \"{number}\"\n\
             budget = {{ nanoseconds_per_event = 2000, alerts_per_hour = 60 }}\n"
        );
        fs::write(self.path("release.toml"), release).unwrap();
        crate::support::write(&self.path(&format!("rules{number}")), std::slice::from_ref(rules));
        self.creance(&format!(
            "bundle build release.toml rules{number} --key keys/publisher.key --out {number}.bundle"
        ));
        self.creance(&format!(
            "repo add repo {number}.bundle --ramp fast.toml --key keys/content1.key --key keys/content2.key --key keys/online.key"
        ));
    }

    /// What a host must be told to follow the repository at `address`.
    pub fn policy(&self, address: &str) -> String {
        following(address, &self.path("root.json"))
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

    /// The VMs that belong to the fleet: they get what their owners say, follow the repository at that port,
    /// and are waited for. All are early, and what is a second elsewhere is more for them.
    pub fn machines(&mut self, port: u16) {
        let Some(place) = env::var_os("CREANCE_FLEET_PLACE").map(PathBuf::from) else { return };
        fs::write(self.path("plan.toml"), plan(SLOW)).unwrap();
        let (new, etc) = (place.join("etc.new"), place.join("etc"));
        fs::create_dir_all(new.join("keys")).unwrap();
        fs::copy(self.path("root.json"), new.join("root.json")).unwrap();
        fs::copy(self.path("keys/publisher.pub"), new.join("keys/publisher.pub")).unwrap();
        let policy = following(&format!("http://10.0.2.2:{port}"), Path::new("/disk/etc/root.json"));
        fs::write(new.join("content.toml"), format!("ring = \"early\"\n{policy}")).unwrap();
        fs::rename(new, etc).unwrap();
        self.vms = Vm::all();
        self.live("the VMs are up", &mut |_| {}, |world| world.vms.iter().all(|vm| vm.status().is_some()));
    }

    /// Seconds between two looks at a host.
    pub fn pace(&self) -> u32 {
        if self.vms.is_empty() { 1 } else { SLOW }
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
        let deadline =
            Instant::now() + if self.vms.is_empty() { Duration::from_mins(3) } else { Duration::from_mins(10) };
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
            assert!(Instant::now() < deadline, "{what}: not in time; {:?}; {:?}", say(), self.of_vms());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What VMs say of themselves.
    fn of_vms(&self) -> Vec<String> {
        let words = |vm: &Vm| vm.status().map_or_else(|| "does not answer".to_owned(), |status| status.to_string());
        self.vms.iter().map(|vm| format!("{}: {}", vm.name, words(vm))).collect()
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}
