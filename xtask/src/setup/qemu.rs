//! QEMU, new enough to be trusted with two processors.
//!
//! Before 8.1 its translator can run an instruction that another processor has just replaced (fixed by QEMU's commit
//! deba78709ae8, "accel/tcg: Always lock pages before translation"). Linux replaces instructions whenever a
//! hook is attached, by way of a breakpoint: with QEMU 7.2 a boot now and then died of `Oops: int3`.

use std::process::Command;

use anyhow::Result;

use super::{apt, lists::Lists};
use crate::command;

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
const OLDEST: (u32, u32) = (8, 1);
/// Debian 12 itself has 7.2.
const BACKPORTS: &str = "bookworm-backports";

/// Installs it, unless a good one is here already.
///
/// # Errors
/// Where a right or the network is missing.
pub fn install() -> Result<()> {
    if is_good() {
        return Ok(());
    }
    if command::find(PROGRAM).is_none()
        && let Err(error) = apt::install(&[PACKAGE])
    {
        // Parts of a newer one, such as `qemu-system-common` of the backports, keep Debian's own from being installed.
        println!("setup: {error:#}\nsetup: trying the newer one of {BACKPORTS}");
    }
    if is_good() {
        return Ok(());
    }
    println!("setup: QEMU is older than {}.{}, which loses instructions: a newer one is needed", OLDEST.0, OLDEST.1);
    Lists::of_suite(BACKPORTS, &["bookworm"])?.install(PACKAGE)
}

fn is_good() -> bool {
    command::find(PROGRAM).is_some()
        && command::output(Command::new(PROGRAM).arg("--version"))
            .is_ok_and(|words| version(&words).is_some_and(|version| version >= OLDEST))
}

/// The version in `QEMU emulator version 7.2.22 (Debian …)`.
fn version(words: &str) -> Option<(u32, u32)> {
    let mut numbers = words.split_once("version ")?.1.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        assert_eq!(version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003"), Some((7, 2)));
        assert!(version("QEMU emulator version 10.0.2").unwrap() > OLDEST);
        assert_eq!(version("QEMU"), None);
    }
}
