//! What is simulated: a release, what is wrong with it or with the world, and who sends it out how.

use std::{fmt, str::FromStr};

use super::fleet::{DAY, HOUR, KERNELS, Time};

/// What a release does to a host that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing bad.
    None,
    /// The kernel crashes as it is loaded.
    OnLoad,
    /// The same, and no recovery ladder helps: the host stays down, and silent, until somebody comes.
    ForGood,
    /// The kernel crashes as it is loaded, on the rare kernel only.
    OnLoadOfRareKernel,
    /// The same, on one host in 2000, whatever its kernel: something else that they share, and nobody sees.
    OnLoadOfFew,
    /// The daemon runs out of memory after some six hours.
    Leak,
    /// The host crashes when it next boots.
    AtBoot,
    /// Fifty times the alerts.
    Flood,
}

impl Failure {
    /// Whether loading it crashes a host with this kernel, whose place among all that is not seen is `part`.
    pub fn on_load(self, kernel: u8, part: f64) -> bool {
        match self {
            Self::OnLoad | Self::ForGood => true,
            Self::OnLoadOfRareKernel => usize::from(kernel) == KERNELS - 1,
            Self::OnLoadOfFew => part < FEW,
            Self::None | Self::Leak | Self::AtBoot | Self::Flood => false,
        }
    }
}

/// The hosts that share what nobody sees.
const FEW: f64 = 0.0005;

/// How a release goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// To everybody at once; people notice after 78 minutes. A host that crashes loads it again at every boot.
    Everybody,
    /// Waves by the clock, no gate; people notice as before, hosts are as before.
    Clock,
    /// The shipped plan, judge and controller; hosts with the recovery ladder.
    Routine,
    /// The same with the urgent plan.
    Urgent,
}

impl Strategy {
    pub const ALL: &[Self] = &[Self::Everybody, Self::Clock, Self::Routine, Self::Urgent];
    pub const OURS: &[Self] = &[Self::Routine, Self::Urgent];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Everybody => "everybody at once (2024)",
            Self::Clock => "waves by the clock",
            Self::Routine => "ours, routine",
            Self::Urgent => "ours, urgent",
        }
    }

    /// Whether a host that crashed comes back without the release.
    pub const fn recovers(self) -> bool {
        matches!(self, Self::Routine | Self::Urgent)
    }
}

/// What is wrong with the world, apart from the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Nothing.
    Calm,
    /// Health cannot be read from the first time to the second.
    TelemetryDown(Time, Time),
    /// The web server answers nobody from the first time to the second.
    ContentDown(Time, Time),
    /// A person halts it at this time.
    HaltedBy(Time),
    /// Three in ten hosts are off until this time.
    Absent(Time),
    /// A thief has the online key: the release is offered to everybody at once, until people notice and change the key.
    KeyStolen,
    /// A person halts it at this time, and a mirror serves from then on what it had.
    Frozen(Time),
    /// Some clocks are wrong.
    ClocksWrong,
}

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// Its number in the list of scenarios that are worth having; `july-19` is the first of them, told against others.
    pub number: u8,
    pub what: &'static str,
    pub failure: Failure,
    pub world: World,
    pub strategies: &'static [Strategy],
    /// When it ends.
    pub end: Time,
}

impl Scenario {
    /// All that can be simulated without a repository and without disks.
    pub const ALL: &[Self] = &[
        Self::bad("july-19", 1, "takes a host down as it is loaded", Failure::OnLoad, Strategy::ALL),
        Self::bad(
            "silent",
            1,
            "takes a host down as it is loaded, for good and without a word",
            Failure::ForGood,
            Strategy::OURS,
        ),
        Self::bad(
            "kernel",
            2,
            "takes down hosts with one kernel build, 0.5% of all",
            Failure::OnLoadOfRareKernel,
            Strategy::OURS,
        ),
        Self::bad("leak", 3, "makes the daemon run out of memory after six hours", Failure::Leak, Strategy::OURS),
        Self::bad("boot", 4, "takes a host down when it next boots", Failure::AtBoot, Strategy::OURS),
        Self::bad("flood", 5, "alerts fifty times as often", Failure::Flood, Strategy::OURS),
        Self::good(
            "telemetry",
            6,
            "is good; health cannot be read for five hours",
            World::TelemetryDown(HOUR, 6 * HOUR),
            8 * DAY,
        ),
        Self {
            world: World::KeyStolen,
            ..Self::bad(
                "stolen",
                7,
                "takes a host down as it is loaded; a thief of the online key offers it to everybody at once",
                Failure::OnLoad,
                Strategy::OURS,
            )
        },
        Self::good(
            "frozen",
            8,
            "is good; a person halts it, and one mirror in ten goes on with what it had",
            World::Frozen(2 * HOUR),
            5 * DAY,
        ),
        Self::good(
            "clocks",
            9,
            "is good; one clock in a hundred is wrong by up to three days",
            World::ClocksWrong,
            7 * DAY,
        ),
        Self::good(
            "outage",
            10,
            "is good; the content's web server is down for two hours",
            World::ContentDown(HOUR, 3 * HOUR),
            7 * DAY,
        ),
        Self::good("absent", 11, "is good; three in ten hosts are off for 14 days", World::Absent(14 * DAY), 16 * DAY),
        Self::good(
            "halt",
            12,
            "is good; a person halts it in the middle of a ramp",
            World::HaltedBy(2 * HOUR),
            8 * HOUR,
        ),
        Self::bad(
            "small",
            15,
            "takes down one host in 2000 as it is loaded, whatever its kernel",
            Failure::OnLoadOfFew,
            Strategy::OURS,
        ),
        Self::good("good", 13, "is good", World::Calm, 7 * DAY),
    ];

    const fn bad(
        name: &'static str,
        number: u8,
        what: &'static str,
        failure: Failure,
        strategies: &'static [Strategy],
    ) -> Self {
        Self { name, number, what, failure, world: World::Calm, strategies, end: 7 * DAY }
    }

    const fn good(name: &'static str, number: u8, what: &'static str, world: World, end: Time) -> Self {
        Self { name, number, what, failure: Failure::None, world, strategies: Strategy::OURS, end }
    }

    /// Which hosts are off until when.
    pub const fn absent(&self) -> (f64, Time) {
        match self.world {
            World::Absent(back) => (0.3, back),
            _ => (0.0, 0),
        }
    }
}

/// The table of all scenarios, for the document.
#[cfg(test)]
pub fn markdown() -> String {
    let row = |scenario: &Scenario| {
        format!("| `{}` | {} | a release that {} |\n", scenario.name, scenario.number, scenario.what)
    };
    let rows: String = Scenario::ALL.iter().map(row).collect();
    format!("| Name | No. | What |\n|---|---|---|\n{rows}")
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: a release that {}", self.name, self.what)
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|scenario| scenario.name == text).copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|scenario| scenario.name).collect();
            format!("no scenario `{text}`; there are {}", names.join(", "))
        })
    }
}
