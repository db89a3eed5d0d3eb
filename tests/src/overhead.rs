//! What the sensor costs, in guest instructions per operation: on a machine whose clock counts instructions.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{fifo, protocol::Message, report, rules, sensor::Launch};

/// How often each operation is measured; the figure is the median.
const SAMPLES: usize = 301;
const FIFO: &str = "/home/user/measured-fifo";
const PLAIN: &str = "/home/user/measured-file";

/// Measures without the sensor and, in the same boot, with it and the shipped rules.
///
/// # Errors
/// Where an operation or the sensor fails.
pub fn measure() -> Result<()> {
    thread::sleep(Duration::from_secs(2));
    report::send(&Message::Measured { sensor: false, instructions: all()? });
    let sensor = Launch::directory(rules::SHIPPED).start()?;
    // The guest's clock counts instructions: this is a time in which it comes to rest, not one that passes here.
    thread::sleep(Duration::from_secs(2));
    report::send(&Message::Measured { sensor: true, instructions: all()? });
    let reports = sensor.lines()?.len();
    anyhow::ensure!(
        reports == 0,
        "the operations made {reports} reports: they are not the harmless ones to be measured"
    );
    sensor.stop()
}

type Operation<'a> = (&'static str, Box<dyn FnMut() -> io::Result<()> + 'a>);

fn all() -> Result<BTreeMap<String, f64>> {
    fifo::remake(FIFO)?;
    fs::write(PLAIN, "x")?;
    let (mut reader, mut writer) = fifo::pipe()?;
    let mut plain = File::open(PLAIN)?;
    // Both ends are held open, so that opening one does not wait for the other.
    let _both = fifo::open(FIFO)?;
    let operations: [Operation<'_>; 6] = [
        ("getpid", Box::new(getpid)),
        ("pipe write+read 1 byte", Box::new(move || writer.write_all(b"x").and_then(|()| reader.read_exact(&mut [0])))),
        ("FIFO open+close", Box::new(|| File::open(FIFO).map(drop))),
        ("mkfifo+unlink", Box::new(|| fifo::make("/home/user/made").and_then(|()| fs::remove_file("/home/user/made")))),
        ("plain file open+close", Box::new(|| File::open(PLAIN).map(drop))),
        ("plain file read", Box::new(move || plain.read(&mut [0; 1]).map(drop))),
    ];
    let nothing = median(&mut || Ok(()))?;
    operations
        .into_iter()
        .map(|(name, mut operation)| {
            let cost = median(&mut *operation).with_context(|| name)?;
            Ok((name.to_owned(), cost - nothing))
        })
        .collect()
}

fn median(operation: &mut dyn FnMut() -> io::Result<()>) -> Result<f64> {
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let start = Instant::now();
        operation()?;
        samples.push(start.elapsed().as_nanos());
    }
    samples.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand instructions")]
    Ok(samples[SAMPLES / 2] as f64)
}

/// The system call, which the library might answer from memory.
fn getpid() -> io::Result<()> {
    // SAFETY: takes nothing.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) };
    if pid > 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
