//! Hands the eBPF object of the sensor to the compiler, as `sensor-ebpf.o` in `OUT_DIR`.
//!
//! The object is built with another compiler than the rest (`cargo xtask build`), so it is looked for, not made.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=CREANCE_EBPF");
    // From the directory of the package, in which cargo runs this: what it remembers of a run holds also in a
    // checkout that was copied with its `target/`.
    let built = env::var_os("CREANCE_EBPF").unwrap_or_else(|| "../target/ebpf/sensor-ebpf.o".into());
    let built = PathBuf::from(built);
    println!("cargo::rerun-if-changed={}", built.display());
    let handed = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("sensor-ebpf.o");
    if let Err(error) = fs::copy(&built, handed) {
        println!(
            "cargo::error=the eBPF object {} cannot be read ({error}): run `cargo xtask build`, which builds it first, \
             or set CREANCE_EBPF to where it is",
            built.display()
        );
    }
}
