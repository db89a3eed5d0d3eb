//! Hands the eBPF object of the sensor to the compiler, as `include_bytes!(env!("CREANCE_EBPF"))`.
//!
//! The object is built with another compiler than the rest (`cargo xtask build`), so it is looked for, not made.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=CREANCE_EBPF");
    let object = env::var_os("CREANCE_EBPF").map_or_else(
        || PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../target/ebpf/sensor-ebpf.o"),
        PathBuf::from,
    );
    println!("cargo::rerun-if-changed={}", object.display());
    match object.canonicalize() {
        Ok(object) => println!("cargo::rustc-env=CREANCE_EBPF={}", object.display()),
        Err(error) => println!(
            "cargo::error=the eBPF object {} cannot be read ({error}): run `cargo xtask build`, which builds it first, \
             or set CREANCE_EBPF to where it is",
            object.display()
        ),
    }
}
