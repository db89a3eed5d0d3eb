//! Generations: what may come into force, what is in force, and what became of it.
//!
//! [`state::Generations`] owns all of it: no other code can change what is in force.
//!
//! | File | Holds |
//! |---|---|
//! | [`state`] | the type, and the questions that it answers |
//! | [`kernel_side`] | the engine, and the names of the rules in it |
//! | [`keeper`] | the store, the owner's policy and the trusted keys; an attempt as a value |
//! | [`permit`] | leave to put something in force: every road asks for it |
//! | `owner` | the policy asked before each step, and obeyed when it changes |
//! | `start`, [`stored`] | what the daemon starts with, and the rules of what is stored |
//! | [`bundles`], [`bundle_tests`] | a bundle's way into force, and its own tests, run in a child process |
//! | `unsigned`, [`options`] | rules that nobody has signed, and how rules are pushed |
//! | [`candidate`], `shadow` | a candidate that judges beside the generation in force, and what becomes of it |
//! | [`probation`], `upkeep` | what a generation on probation is held to, and the periodic work |
//! | `roll_back` | what is in force is left |
//! | `offers` | what is offered by a repository |
//! | [`rule_archive`] | the rules of past generations, for the daemon that comes next |
//! | [`reply`] | what became of a push, in the words of the protocol |

pub mod bundle_tests;
pub mod bundles;
pub mod candidate;
pub mod keeper;
pub mod kernel_side;
mod offers;
pub mod options;
mod owner;
pub mod permit;
pub mod probation;
pub mod reply;
mod roll_back;
pub mod rule_archive;
mod shadow;
mod start;
pub mod state;
pub mod stored;
mod unsigned;
mod upkeep;
