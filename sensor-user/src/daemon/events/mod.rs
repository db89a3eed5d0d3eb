//! The way of an event through the daemon: out of the ring buffer, into the journal, to sinks and followers.
//!
//! | File | Holds |
//! |---|---|
//! | [`ring`] | reads the ring buffer |
//! | [`journal`] | numbers events, keeps the recent ones, hands them on |
//! | [`sink`], `output` | writes events where the owner wants them, and counts what was not written |
//! | `event_file`, `lines`, [`rotation`] | a file of events: whole lines, rotation, what a killed daemon left |
//! | [`flood`] | names the actor who floods the ring buffer |

mod event_file;
pub mod flood;
pub mod journal;
mod lines;
mod output;
pub mod ring;
pub mod rotation;
pub mod sink;
