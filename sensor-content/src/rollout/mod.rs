//! A release goes out by stages, each opened by evidence from the one before.
//!
//! ```text
//! Plan, State ─┐
//! Health ──────┼─► step ─► judge ─► Document ─► every host: covered? ─► owner's policy
//! now ─────────┘   the controller    who may take it
//! ```
//!
//! However fast a plan is, and whoever publishes the document: no host takes a release sooner than the [`Ramp`] allows
//! that the content keys have signed with it.
//!
//! Nothing here reads a clock, a file or a network: what a decision was made of can be kept, and the decision replayed
//! ([`Decision::replay`]). Where the controller is dead nothing advances, because only its steps open anything.

mod bucket;
mod controller;
mod document;
mod health;
mod judge;
mod plan;
pub mod prometheus;
mod ramp;
mod ring;
mod statistics;

pub use bucket::{Bucket, HostId, Share};
pub use controller::{Decision, Progress, State, halt, resume, revoke, step};
pub use document::{Answer, Document, Host, Offer, Order, Slice};
pub use health::{Census, Cohort, Counts, Health, Signal};
pub use judge::{Finding, Judgement, Question, Verdict, judge};
pub use plan::{Limits, Plan, PlanError, Stage};
pub use ramp::{Pace, Ramp, RampError, Step};
pub use ring::Ring;
