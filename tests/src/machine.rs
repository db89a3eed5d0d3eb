//! The machine itself is what the other tests take it for.

use std::{fs, process::Command};

use anyhow::{Result, ensure};

use crate::suite::{Boot, Test};

pub const TESTS: &[Test] = &[Test { name: "machine::is_as_the_tests_need_it", boot: Boot::Plain, run: as_needed }];

fn as_needed() -> Result<()> {
    let modules = fs::read_to_string("/sys/kernel/security/lsm")?;
    ensure!(modules.split(',').any(|module| module == "bpf"), "bpf is not among the security modules: {modules}");
    ensure!(fs::metadata("/sys/kernel/btf/vmlinux")?.len() > 0, "the kernel has no type information");
    let processors = fs::read_to_string("/proc/cpuinfo")?.matches("processor\t").count();
    ensure!(processors == 2, "{processors} processors, not 2");
    let shell = Command::new("/bin/sh").args(["-c", "echo hello | tr a-z A-Z; readlink /proc/self/exe"]).output()?;
    let words = String::from_utf8_lossy(&shell.stdout).into_owned();
    ensure!(words.starts_with("HELLO\n/bin/"), "the shell says {words:?}");
    Ok(())
}
