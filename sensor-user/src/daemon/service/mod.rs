//! The control socket's other end: who may ask, what is answered.
//!
//! | File | Holds |
//! |---|---|
//! | [`admission`] | who may ask for what |
//! | [`server`] | connections, requests, replies |
//! | `answers` | the daemon's answers |
//! | [`figures`] | the figures for Prometheus |

pub mod admission;
mod answers;
pub mod figures;
pub mod server;
