//! What a payload rule marks is read by nobody, until it is released.
//!
//! | Module | Holds |
//! |---|---|
//! | `setting` | the rule, what it marks, what the sensor says of it |
//! | `splice` | the ways out of a pipe that copy nothing |
//! | `socket` | unix sockets |
//! | `descriptor` | descriptors that are handed over |
//! | `uring` | all of them by `io_uring` |
//! | `users` | readers of another user |

mod descriptor;
mod setting;
mod socket;
mod splice;
mod uring;
mod users;

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{fs::MetadataExt as _, process::ExitStatusExt as _},
    },
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use sensor_common::maps::Kept;

use crate::{
    fifo,
    protocol::Table,
    report, rules,
    sensor::{Launch, names_rule},
    shared, shell,
    suite::{Boot, Test},
    wait,
};

use setting::{CONTENT, FIFO, RULE, creance, kept, released};

pub use socket::victim;
pub use splice::take;
pub use uring::taker;
pub use users::sender;

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "quarantine::no_later_reader_gets_the_content", boot: Boot::Plain, run: later_readers },
    Test { name: "quarantine::a_reader_that_slept_does_nothing_with_it", boot: Boot::Plain, run: sleeping_reader },
    Test { name: "quarantine::no_way_around_a_read", boot: Boot::Plain, run: splice::later },
    Test { name: "quarantine::who_sleeps_in_a_splice_gets_nothing_through", boot: Boot::Plain, run: splice::asleep },
    Test {
        name: "quarantine::who_gives_the_number_to_another_file_gets_nothing_through",
        boot: Boot::Plain,
        run: splice::swapped,
    },
    Test { name: "quarantine::no_later_receiver_gets_the_message", boot: Boot::Plain, run: socket::later },
    Test { name: "quarantine::honest_messages_of_every_length_arrive", boot: Boot::Plain, run: socket::honest },
    Test { name: "quarantine::a_receiver_that_slept_does_nothing_with_it", boot: Boot::Plain, run: socket::asleep },
    Test {
        name: "quarantine::a_descriptor_handed_over_leads_to_nothing",
        boot: Boot::Plain,
        run: descriptor::of_a_pipe,
    },
    Test {
        name: "quarantine::a_message_keeps_its_descriptor",
        boot: Boot::Plain,
        run: descriptor::along_with_a_message,
    },
    Test { name: "quarantine::no_later_request_of_a_ring_gets_anything", boot: Boot::Plain, run: uring::later },
    Test { name: "quarantine::a_request_that_slept_does_nothing_with_it", boot: Boot::Plain, run: uring::asleep },
    Test { name: "quarantine::harms_no_socket_of_another_user", boot: Boot::Plain, run: users::sockets },
    Test { name: "quarantine::kills_no_reader_of_another_user", boot: Boot::Plain, run: users::sleeper },
    Test { name: "quarantine::ends_with_what_is_in_it", boot: Boot::Plain, run: socket::ends },
    Test { name: "quarantine::keeps_readers_away_by_modify_return", boot: Boot::WithoutBpf, run: later_readers },
    Test { name: "quarantine::kills_who_slept_by_modify_return", boot: Boot::WithoutBpf, run: sleeping_reader },
    Test { name: "quarantine::no_way_around_by_modify_return", boot: Boot::WithoutBpf, run: splice::later },
    Test { name: "quarantine::no_message_is_received_by_modify_return", boot: Boot::WithoutBpf, run: socket::later },
    Test { name: "quarantine::ends_with_what_is_in_it_by_modify_return", boot: Boot::WithoutBpf, run: socket::ends },
    Test { name: "quarantine::the_lifeline_reads_and_is_counted", boot: Boot::Plain, run: lifeline },
    Test { name: "quarantine::is_off_where_nothing_is_enforced", boot: Boot::Plain, run: not_enforced },
];

/// The calls that read.
const READS: [&str; 3] = ["read", "readv", "preadv2"];

/// Reads by one of them; how many bytes.
fn read(file: &File, call: &str) -> io::Result<isize> {
    let mut room = [0_u8; CONTENT.len()];
    let part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let fd = file.as_raw_fd();
    // SAFETY: an open descriptor, and room of this length that lives through the call.
    let moved = unsafe {
        match call {
            "read" => libc::read(fd, part.iov_base, part.iov_len),
            "readv" => libc::readv(fd, &raw const part, 1),
            _ => libc::preadv2(fd, &raw const part, 1, -1, 0),
        }
    };
    if moved < 0 { Err(io::Error::last_os_error()) } else { Ok(moved) }
}

fn later_readers() -> Result<()> {
    let sensor = shared::enforcing(vec![rules::file("kept.yaml", &[RULE])])?;
    fifo::remake(FIFO)?;
    let mut both = fifo::open(FIFO)?;
    let (mut reader, mut writer) = fifo::pipe()?;
    let denied = kept(&sensor, Kept::Denied)?;
    both.write_all(CONTENT)?;
    writer.write_all(CONTENT)?;
    for call in READS {
        ensure!(fifo::is_refused(&read(&both, call)), "the FIFO's content was read by {call}");
        ensure!(fifo::is_refused(&read(&reader, call)), "the pipe's content was read by {call}");
    }
    let other = shell::run("cat /tmp/kept")?;
    ensure!(other.stdout.is_empty() && !other.status.success(), "another process read {:?}", other.stdout);
    ensure!(
        kept(&sensor, Kept::Denied)? >= denied + 7,
        "7 refusals, and {} counted",
        kept(&sensor, Kept::Denied)? - denied
    );
    let reports = sensor.reports()?;
    let marks = reports.iter().filter(|report| report["outcome"] == "quarantined" && names_rule(report, "kept"));
    ensure!(marks.count() == 2, "{reports:#?}");

    // Released, the content is there as it was written; the other stays.
    let inode = both.metadata()?.ino().to_string();
    let list = creance(&["quarantine", "list"])?;
    ensure!(list.contains(&inode) && list.contains("kept") && list.lines().count() == 3, "{list}");
    creance(&["quarantine", "release", &inode])?;
    let mut content = vec![0; CONTENT.len()];
    both.read_exact(&mut content)?;
    ensure!(content == CONTENT, "another content came out: {content:?}");
    ensure!(fifo::is_refused(&reader.read_exact(&mut [0])), "what was not released was read");

    // A generation without such a rule does not forget what is marked.
    sensor.push(vec![rules::file("none.yaml", &[rules::NONE])])?;
    ensure!(fifo::is_refused(&reader.read_exact(&mut [0])), "the next generation lets it be read");
    released()?;
    reader.read_exact(&mut content)?;
    ensure!(sensor.client()?.quarantine()?.is_empty(), "something is left");
    report::fact(Table::Stops, "quarantine: every later read", "denied");
    shared::park(sensor);
    Ok(())
}

/// A shell that waits for its commands is the victim that is meant.
fn sleeping_reader() -> Result<()> {
    std::fs::remove_file("/tmp/owned").ok();
    let sensor = shared::enforcing(vec![rules::file("kept.yaml", &[RULE])])?;
    let killed = kept(&sensor, Kept::Killed)?;
    let mut victim = Command::new("/bin/bash").arg("-s").stdin(Stdio::piped()).spawn()?;
    wait::asleep_in(victim.id(), libc::SYS_read)?;
    let mut commands = victim.stdin.take().context("no pipe")?;
    commands.write_all(CONTENT)?;
    let status = wait::until("the victim to end", || Ok(victim.try_wait()?))?;
    ensure!(status.signal() == Some(libc::SIGKILL), "the victim ended with {status}");
    ensure!(!std::path::Path::new("/tmp/owned").exists(), "the victim did what it read");
    ensure!(kept(&sensor, Kept::Killed)? == killed + 1, "it is not counted");
    released()?;
    report::fact(Table::Stops, "quarantine: a reader that slept", "killed");
    shared::park(sensor);
    Ok(())
}

fn lifeline() -> Result<()> {
    const RESCUE: &str = "/tmp/kept-rescue";
    std::fs::copy("/bin/bash", RESCUE)?;
    std::fs::write("/tmp/kept-lifeline", format!("{RESCUE}\n"))?;
    let launch = Launch::rules(&[rules::file("kept.yaml", &[RULE])])?.enforcing();
    let sensor = launch.with(&["--lifeline", "/tmp/kept-lifeline"]).start()?;
    let (reader, mut writer) = fifo::pipe()?;
    writer.write_all(CONTENT)?;
    ensure!(fifo::is_refused(&read(&reader, "read")), "the content was read by anybody");
    let spared = kept(&sensor, Kept::Lifeline)?;
    // Into a file: a pipe that it writes this into is in quarantine too.
    let script = "read -r line && echo \"$line\" > /tmp/kept-read";
    let status = Command::new(RESCUE).args(["-c", script]).stdin(Stdio::from(reader)).status()?;
    ensure!(status.success(), "the lifeline's read ended with {status}");
    let read = std::fs::read("/tmp/kept-read")?;
    ensure!(read == CONTENT, "the lifeline read {:?}", String::from_utf8_lossy(&read));
    ensure!(kept(&sensor, Kept::Lifeline)? > spared, "it is not counted");
    released()?;
    sensor.stop()
}

fn not_enforced() -> Result<()> {
    let sensor = shared::sensor(vec![rules::file("kept.yaml", &[RULE])])?;
    let (mut reader, mut writer) = fifo::pipe()?;
    writer.write_all(CONTENT)?;
    reader.read_exact(&mut [0])?;
    let reports = sensor.reports()?;
    ensure!(reports.len() == 1 && reports[0]["outcome"] == "not_enforcing", "{reports:#?}");
    ensure!(sensor.client()?.quarantine()?.is_empty(), "something is in quarantine");
    shared::park(sensor);
    Ok(())
}
