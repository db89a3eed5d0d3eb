//! As many programs on one function of the kernel as it takes: so many that there is no room for the sensor's.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use sensor_user::kernel::btf::{self, Btf};

use crate::{
    fifo,
    raw_bpf::{Load, Open, PROG_LOAD, RAW_TRACEPOINT_OPEN, bpf},
    rules::{self, Draft},
    sensor::{Launch, Sensor, names_rule},
    shared,
    suite::NotHere,
    wait,
};

/// More than any kernel takes (`BPF_MAX_TRAMP_LINKS`).
const MOST: usize = 100;
const NAME: &[u8] = b"crowded";

/// Programs on one function, attached while this lives.
struct Crowd {
    links: Vec<OwnedFd>,
}

const TRACING: u32 = 26;
const TRACE_FENTRY: u32 = 24;
/// `r0 = 0; exit`
const NOTHING: [u64; 2] = [0xb7, 0x95];

impl Crowd {
    /// Fills this function.
    fn on(function: &str) -> Result<Self> {
        let btf = Btf::read(Path::new(btf::PATH))?;
        let target = btf.function_id(function).with_context(|| format!("no function {function}"))?;
        let mut name = [0; 16];
        name[..NAME.len()].copy_from_slice(NAME);
        let load = Load {
            kind: TRACING,
            count: 2,
            instructions: NOTHING.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            name,
            attach_type: TRACE_FENTRY,
            target,
            ..Load::default()
        };
        let mut links = Vec::new();
        for _ in 0..MOST {
            let loaded = bpf(PROG_LOAD, &load).context("cannot load a program")?;
            let program = u32::try_from(loaded.as_raw_fd())?;
            match bpf(RAW_TRACEPOINT_OPEN, &Open { name: 0, program, padding: 0 }) {
                Ok(link) => links.push(link),
                Err(error) if error.raw_os_error() == Some(libc::E2BIG) && !links.is_empty() => {
                    return Ok(Self { links });
                }
                Err(error) => return Err(error).context("cannot attach a program"),
            }
        }
        Err(NotHere("this kernel takes any number of programs on a function").into())
    }
}

/// What status says is missing, with the name of who is there.
fn missing(sensor: &Sensor, what: &str) -> Result<()> {
    let status = sensor.status()?;
    let warning = status.warnings.iter().find(|warning| warning.starts_with(what));
    let warning = warning.with_context(|| format!("status does not say that {what}: {status}"))?;
    // Kernels before 5.13 do not tell who.
    let is_told = warning.contains(std::str::from_utf8(NAME)?);
    ensure!(is_told || warning.contains("could not see"), "{warning}");
    ensure!(is_told || status.kernel.starts_with("5.10"), "{warning}");
    ensure!(status.hooks.iter().any(|hook| hook.missing.as_ref() == Some(warning)), "{:?}", status.hooks);
    ensure!(sensor.words().contains(what), "not in the log: {}", sensor.words());
    Ok(())
}

/// Whether a FIFO that is made is reported.
fn sees_fifos(sensor: &mut Sensor) -> Result<bool> {
    sensor.forget()?;
    fifo::remake("/tmp/lacking")?;
    Ok(!sensor.reports()?.is_empty())
}

/// The others do without the one that there is no room for; it is attached as soon as there is.
pub fn hook() -> Result<()> {
    shared::stop()?;
    let crowd = Crowd::on("create_pipe_files")?;
    ensure!(crowd.links.len() > 30, "only {} programs fill it", crowd.links.len());
    let both = rules::file("both.yaml", &[Draft::alert("both", &["pipe.create", "fifo.create"], "true")]);
    let mut sensor = Launch::rules(&[both])?.start()?;
    missing(&sensor, "the hook create_pipe_files is missing")?;
    ensure!(sees_fifos(&mut sensor)?, "no hook is attached");
    sensor.forget()?;
    drop(fifo::pipe()?);
    ensure!(sensor.reports()?.is_empty(), "a pipe is seen");
    drop(crowd);
    wait::until("the hook to be attached", || Ok(sensor.status()?.warnings.is_empty().then_some(())))?;
    sensor.forget()?;
    drop(fifo::pipe()?);
    let reports = sensor.reports()?;
    ensure!(reports.iter().any(|report| names_rule(report, "both")), "{reports:#?}");
    sensor.stop()
}

/// The same of what keeps readers from a quarantine.
pub fn guard() -> Result<()> {
    shared::stop()?;
    let crowd = Crowd::on("do_tee")?;
    let kept = Draft { action: "quarantine", ..Draft::alert("kept", &["pipe.payload"], "payload.contains('owned')") };
    let sensor = Launch::rules(&[rules::file("kept.yaml", &[kept])])?.enforcing().start()?;
    missing(&sensor, "the guard quarantine_tee is missing")?;
    let (reader, mut writer) = fifo::pipe()?;
    io::Write::write_all(&mut writer, b"owned")?;
    ensure!(fifo::is_refused(&io::Read::read(&mut &reader, &mut [0; 8])), "the other guards are not there");
    drop(crowd);
    wait::until("the guard to be attached", || Ok(sensor.status()?.warnings.is_empty().then_some(())))?;
    sensor.stop()
}
