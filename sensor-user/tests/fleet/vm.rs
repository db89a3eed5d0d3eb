//! A host that is a VM with a real daemon, as `cargo xtask fleet --vms` boots it: it is only asked, and started anew.

use std::{
    env,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use sensor_content::{life::Entry, rollout::Order};
use sensor_user::api::status::Status;

pub struct Vm {
    pub name: String,
    /// Where its figures are read.
    pub address: SocketAddr,
    /// Where it obeys.
    hand: SocketAddr,
}

impl Vm {
    /// Those that there are: a line for each, with its name and two ports of loopback.
    pub fn all() -> Vec<Self> {
        let told = env::var("CREANCE_FLEET_VMS").unwrap_or_default();
        let lines = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines
            .map(|words| {
                let at = |word: &str| SocketAddr::from((Ipv4Addr::LOCALHOST, word.parse::<u16>().unwrap()));
                Self { name: words[0].to_owned(), address: at(words[1]), hand: at(words[2]) }
            })
            .collect()
    }

    /// What it says to a line; `None` where it does not answer.
    fn tell(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.hand).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(line.as_bytes()).ok()?;
        stream.shutdown(Shutdown::Write).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        Some(said)
    }

    /// What its daemon says of itself; `None` while it is not up.
    pub fn status(&self) -> Option<Status> {
        serde_json::from_str(&self.tell("status --json\n")?).ok()
    }

    pub fn reboot(&self) {
        self.tell("reboot\n");
    }

    /// Whether this generation is in force.
    pub fn runs(&self, number: u64) -> bool {
        self.status().is_some_and(|status| status.generation == Some(number))
    }

    /// Whether this generation is in force, and the only good one.
    pub fn is_good(&self, number: u64) -> bool {
        let good = |status: &Status| status.content.as_ref().is_some_and(|content| content.good == [number]);
        self.status().is_some_and(|status| status.generation == Some(number) && good(&status))
    }

    /// Whether this generation is in force, and it knows that that one is revoked.
    pub fn is_back(&self, number: u64, revoked: u64) -> bool {
        let order = |status: &Status| status.fleet.as_ref().and_then(|fleet| fleet.release);
        self.status()
            .is_some_and(|status| status.generation == Some(number) && order(&status) == Some((revoked, Order::Revoke)))
    }

    /// The steps of a generation, and why each was taken.
    pub fn history(&self, number: u64) -> Vec<Entry> {
        let said = self.tell("history --json\n").unwrap_or_default();
        let entries = said.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        entries.filter(|entry| entry.generation.number == number).collect()
    }
}
