//! What runs in the VMs that `cargo xtask` boots: init, the end-to-end tests, the played session, the
//! measurements. One static binary, `vm-init`, holds all of it.
//!
//! | Module | Holds |
//! |---|---|
//! | [`init`], [`job`], [`report`], [`protocol`] | process 1, what it was booted for, how it tells the outside |
//! | [`debian`] | what is tested on a real Debian root with systemd |
//! | [`room`] | the same on the machine of the developer, without a VM |
//! | `case`, [`suite`] | what a test is, and the list of tests and how they run |
//! | `sensor`, `shared`, `rules`, `shell`, `fifo`, `wait` | what tests are written with |
//! | [`roles`], `work` | the processes that tests watch, and what these are written with |
//! | `session`, `overhead` | the played session, the measurements |
//! | the others | one subject of tests each |

mod case;
pub mod debian;
pub mod init;
pub mod job;
mod lifeline;
pub mod protocol;
mod raw_bpf;
pub mod report;
pub mod suite;

mod fifo;
pub mod roles;
pub mod room;
mod rules;
mod sensor;
pub mod shared;
mod shell;
mod user;
mod wait;
mod work;

mod overhead;
mod session;

mod accepted;
mod alerts;
mod attack;
mod block;
mod brakes;
mod confined;
mod conformance;
mod content;
mod daemon;
mod endurance;
mod features;
mod fleet;
mod flood;
mod forger;
mod hooks;
mod input;
mod lacking;
mod language;
mod losses;
mod machine;
mod meddling;
mod mounts;
mod output;
mod paths;
mod planner;
mod preemption;
mod quarantine;
mod refusal;
mod replay;
mod restart;
mod ring;
mod shadow;
mod sockets;
mod stress;
mod swap;
mod tracepoints;
mod undecided;
mod uring;
mod without_bpf;
