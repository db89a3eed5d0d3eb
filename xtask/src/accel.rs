//! How QEMU runs the guest's instructions: by the processor (KVM) where that has been seen to work, else by
//! translation (TCG). A device `/dev/kvm` proves nothing: in some nested machines it is there and does not boot.

use std::{
    fs::{self, OpenOptions},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::project::{self, KernelSeries};

/// Longest time in which a kernel under KVM must have started and stopped.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// QEMU's arguments for the fastest way that works on this machine. Probed once, then remembered in `target/vm`.
pub fn arguments() -> &'static [&'static str] {
    const KVM: &[&str] = &["-accel", "kvm", "-cpu", "host"];
    const TCG: &[&str] = &["-accel", "tcg", "-cpu", "max"];
    let remembered = project::target("vm/accelerator");
    let works = match fs::read_to_string(&remembered).as_deref() {
        Ok("kvm") => true,
        Ok(_) => false,
        Err(_) => {
            let works = permitted() && boots(KVM);
            fs::create_dir_all(project::target("vm")).ok();
            fs::write(&remembered, if works { "kvm" } else { "tcg" }).ok();
            if !works {
                println!(
                    "setup: KVM does not work here: VMs are emulated, many times slower (to look again, remove {})",
                    remembered.display()
                );
            }
            works
        }
    };
    if works { KVM } else { TCG }
}

fn permitted() -> bool {
    OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
}

/// Whether a kernel without a root file system gets as far as to panic about it.
fn boots(arguments: &[&str]) -> bool {
    let log = project::target("vm/probe.log");
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(arguments).args(["-m", "256", "-display", "none", "-monitor", "none", "-no-reboot"]);
    qemu.args(["-append", "console=ttyS0 panic=-1", "-kernel"]).arg(KernelSeries::V6_1.image());
    qemu.arg("-serial").arg(format!("file:{}", log.display()));
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = qemu.spawn() else { return false };
    let deadline = Instant::now() + PROBE_LIMIT;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    child.kill().ok();
    child.wait().ok();
    fs::read_to_string(&log).is_ok_and(|text| text.contains("Unable to mount root"))
}
