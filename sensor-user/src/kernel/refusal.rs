//! Why a generation was not activated.

use std::io;

use sensor_common::event::Event;
use sensor_rules::{Diagnostics, Program};

use super::{attach::LoadError, verifier_log};
use crate::api::kernel::VerifierRefusal;

/// Lines of the verifier's log that are kept before the reason's end.
const LOG_LINES: usize = 6;

/// Why a generation was refused. Nothing that runs has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Our own checks refused the rules.
    #[error("{0}")]
    Content(Diagnostics),
    /// The kernel's verifier refused a program.
    #[error(transparent)]
    Verifier(Box<VerifierRefusal>),
    /// Something else failed on the way.
    #[error("{0:#}")]
    Kernel(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Kernel(error)
    }
}

/// Makes a refusal of what loading the program of `event` returned.
pub fn refusal(event: Event, program: &Program, error: LoadError) -> Refusal {
    let LoadError::Program(aya::programs::ProgramError::LoadError { io_error, verifier_log }) = error else {
        return Refusal::Kernel(
            anyhow::Error::new(error).context(format!("cannot load the rules for {}", event.name())),
        );
    };
    let log = verifier_log.to_string();
    let gave_up = verifier_log::gave_up(&io_error, &log);
    if !gave_up && is_of_the_host(&io_error, &log) {
        let error = anyhow::Error::new(io_error);
        return Refusal::Kernel(error.context(format!(
            "the rules for {} cannot be loaded now: this host has no room for them, or does not permit it",
            event.name()
        )));
    }
    let instruction = verifier_log::stopped_at(&log);
    let reason = verifier_log::reason(&log, LOG_LINES);
    Refusal::Verifier(Box::new(VerifierRefusal {
        event: event.name().to_owned(),
        instruction,
        origin: instruction.and_then(|index| program.origin(index)).cloned(),
        gave_up,
        log: if reason.is_empty() { io_error.to_string() } else { reason },
    }))
}

/// Whether the kernel did not come to judge the program: memory, descriptors, or a signal; or, without a word
/// of the verifier, a limit (before 5.11 locked memory is one). What the verifier refuses is `EACCES`,
/// `EINVAL`, or too much (`E2BIG`, `ENOSPC`).
fn is_of_the_host(error: &io::Error, log: &str) -> bool {
    match error.raw_os_error() {
        Some(libc::ENOMEM | libc::EAGAIN | libc::EINTR | libc::EMFILE | libc::ENFILE) => true,
        Some(libc::EPERM) => log.trim().is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_room_is_no_verifier_that_refuses() {
        let of_the_host = |errno, log| is_of_the_host(&io::Error::from_raw_os_error(errno), log);
        assert!(of_the_host(libc::ENOMEM, "17: (79) r1 = *(u64 *)(r8 +8)\n") && of_the_host(libc::EPERM, ""));
        for errno in [libc::EACCES, libc::EINVAL, libc::E2BIG, libc::ENOSPC] {
            assert!(!of_the_host(errno, "invalid access to map value") && !of_the_host(errno, ""));
        }
        assert!(!of_the_host(libc::EPERM, "R1 pointer arithmetic prohibited"));
    }
}
