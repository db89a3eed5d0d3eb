//! What the kernel side, the rule compiler, the interpreter and the documentation agree on.
//!
//! | Module | One definition of |
//! |---|---|
//! | [`event`] | the events, the hook each comes from and the groups of fields it carries |
//! | [`hook`] | the places in the kernel where events come from |
//! | [`syscall`] | the system calls where they are seen in another way |
//! | [`groups`] | the groups in which fields are filled |
//! | [`record`] | the [`Record`](record::Record) that a hook fills and rules read |
//! | [`constant`] | names for values of integer fields |
//! | [`field`] | the field table: name, type, place in the record, documentation |
//! | [`verdict`] | what rules answer and what the sensor makes of it |
//! | [`actor`] | who makes rules match, as a number |
//! | [`brakes`] | what holds blocking back: lifeline, budgets, heartbeat |
//! | [`shadow`] | what is counted while a candidate judges beside the generation in force |
//! | [`quarantine`] | what nobody may read, and why |
//! | [`bank`] | where generations lie in the kernel |
//! | [`state`] | counts and sequences: what rules note, and what the sensor keeps |
//! | [`noise`] | who makes rules match, and how often |
//! | [`maps`] | names and layouts of the maps shared by hooks, rules and daemon |
//! | [`kernel`] | the members of kernel structs whose offsets come from BTF |
//!
//! Everything here is plain data in `repr(C)`: the same bytes in the kernel and in user space.
#![no_std]

pub mod actor;
pub mod bank;
pub mod brakes;
pub mod constant;
pub mod event;
pub mod field;
pub mod groups;
pub mod hook;
pub mod kernel;
pub mod maps;
pub mod noise;
pub mod quarantine;
pub mod record;
pub mod shadow;
pub mod state;
pub mod syscall;
pub mod verdict;
