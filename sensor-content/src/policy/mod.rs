//! The owner's policy, `/etc/creance/content.toml`: when this host takes which content, and what that content may do.
//! A publisher can stop content and never force it.
//!
//! | Module | Holds |
//! |---|---|
//! | [`terms`](Policy) | what the owner can say, and what holds where he says nothing |
//! | [`read`](Policy::parse) | from text to a policy that makes sense, errors with line and column |
//! | [`decide`](Policy::decide) | what it says of one release, and why |
//! | [`window`](Window) | times of the week, in a time zone |
//! | [`approval`] | releases that the owner has approved, signed |

pub mod approval;
mod decide;
mod read;
mod terms;
mod window;

pub use decide::{Answer, Decision, Host, Offer, Reason, because};
pub use read::PolicyError;
pub use terms::{Actions, Hold, Pin, Policy, Repository, Rollback};
pub use window::Window;
