//! The rule language, from text to eBPF, as a pure library: it opens no file and calls no kernel.
//!
//! ```text
//! rules/*.yaml ─► file ─► check ─► plan ─► emit ─► object
//!    text         YAML    typed    index    asm     one ELF per hook
//!                          └────► interpret: the same condition on the CEL interpreter, the reference
//! ```
//!
//! [`check`] is the only road to a [`RuleSet`]; [`compile`] and [`interpret`] take nothing else.

mod advice;
mod align;
mod ancestors;
mod budget;
mod check;
mod condition;
mod definitions;
mod diagnostic;
mod early;
mod emit;
mod example;
pub mod explain;
mod expr;
mod file;
mod fold;
mod int;
mod interpret;
mod keys;
mod kleene;
mod mutant;
pub mod mutants;
mod octal;
mod pattern;
mod plan;
mod prefilter;
mod reads;
mod restrain;
mod rule;
mod scalar;
pub mod selftest;
mod source;
mod state;
mod terms;
mod text;
mod time;
mod yaml;

pub use advice::advice;
pub use budget::BlockBudget;
pub use check::check;
pub use diagnostic::{Diagnostic, Diagnostics, Excerpt, Other};
pub use emit::{
    Budget, Object, Origin, PARTS_MAP, Program, RECORD_MAP, Target, compile, compile_unplanned, compile_within,
};
pub use interpret::{InterpretError, interpret};
pub use rule::{Answer, Example, Happening, Happenings, Rule, RuleSet, Severity};
pub use source::{Options, Place, Source};
pub use state::Windows;
