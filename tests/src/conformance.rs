//! Every field of every event has the value that the deed had: known, not default, and never a wildcard.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use sensor_common::{event::Event, field::Field};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    fifo,
    rules::{self, Draft},
    sensor::{field, names_rule},
    shared,
    suite::{Boot, Test},
    wait, work,
};

/// See the [module](self).
pub const TESTS: &[Test] =
    &[Test { name: "conformance::every_field_of_every_event_is_the_known_value", boot: Boot::Plain, run: every_field }];

const DIRECTORY: &str = "/tmp/conformance";
const CGROUP: &str = "/sys/fs/cgroup/conformance";
const PAYLOAD: &str = "a known payload";
const TICK: u64 = 10_000_000;
const PARENT_USER: u32 = 1001;
const USER: u32 = 1002;
const EFFECTIVE_USER: u32 = 1003;
const OWNER: u32 = 1004;

/// What the actor knows of itself and its objects before it acts.
#[derive(Serialize, Deserialize)]
struct Known {
    pid: u32,
    tid: u32,
    parent: u32,
    start_tick: u64,
    fifo: [u64; 3],
    pipe: [u64; 3],
}

fn at(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// The role of the parent: an executable, a name and a user of its own.
pub fn parent() -> Result<()> {
    work::name_thread("the-parent")?;
    fs::write(format!("{CGROUP}/cgroup.procs"), process::id().to_string())?;
    users(PARENT_USER, 0)?;
    let status = Command::new(at("actor-program")).args(["work", "actor"]).stdin(Stdio::null()).status()?;
    ensure!(status.success(), "the actor ended with {status}");
    Ok(())
}

/// The role of the actor: acts in a second thread, as a user whose effective id is another.
pub fn actor() -> Result<()> {
    thread::spawn(act).join().map_err(|_| anyhow::anyhow!("the actor panicked"))?
}

fn act() -> Result<()> {
    work::name_thread("actor")?;
    // SAFETY: takes a number.
    unsafe { libc::umask(0) };
    users(USER, EFFECTIVE_USER)?;
    let path = at("fifo").to_string_lossy().into_owned();
    let (mut reader, mut writer) = fifo::pipe()?;
    let known = Known {
        pid: process::id(),
        // SAFETY: takes nothing.
        tid: u32::try_from(unsafe { libc::gettid() })?,
        parent: std::os::unix::process::parent_id(),
        start_tick: start_tick()?,
        fifo: facts(&fs::metadata(&path)?),
        pipe: facts(&fs::metadata(format!("/proc/self/fd/{}", writer.as_raw_fd()))?),
    };
    work::announce(&at("known"), &serde_json::to_string(&known)?)?;
    work::wait_for(&at("go"));

    // SAFETY: the string ends in NUL.
    ensure!(unsafe { libc::mkfifo(c"/tmp/conformance/made".as_ptr(), 0o640) } == 0, "mkfifo failed");
    let mut waiting = fifo::open_reader(&path)?;
    let mut both = fifo::open(&path)?;
    drop(fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path)?);
    both.write_all(PAYLOAD.as_bytes())?;
    waiting.read_exact(&mut [0; PAYLOAD.len()])?;
    writer.write_all(PAYLOAD.as_bytes())?;
    reader.read_exact(&mut [0; PAYLOAD.len()])?;
    work::announce(&at("done"), "")
}

/// Takes on a real and an effective user, for the calling thread and its children.
fn users(real: u32, effective: u32) -> Result<()> {
    // The raw call: the library's would change every thread of the process, and needs all of them to answer.
    // SAFETY: takes three numbers.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, real, effective, effective) };
    ensure!(result == 0, "setresuid: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Field 22 of `stat`, behind the name, which may hold anything.
fn start_tick() -> Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind = stat.rsplit_once(')').context("a strange stat")?.1;
    Ok(behind.split_whitespace().nth(19).context("a short stat")?.parse()?)
}

/// Inode, device as the kernel writes it, owner.
fn facts(data: &fs::Metadata) -> [u64; 3] {
    let (major, minor) = (libc::major(data.dev()), libc::minor(data.dev()));
    [data.ino(), u64::from(major << 20 | minor), u64::from(data.uid())]
}

fn every_field() -> Result<()> {
    prepare()?;
    let sensor = shared::sensor(vec![rules::file("none.yaml", &[rules::NONE])])?;
    let mut parent = Command::new(at("parent-program")).args(["work", "parent"]).stdin(Stdio::null()).spawn()?;
    let known = wait::until("the actor", || {
        if let Some(status) = parent.try_wait()? {
            bail!("the actor's parent ended with {status}");
        }
        Ok(fs::read_to_string(at("known")).ok())
    })?;
    let known: Known = serde_json::from_str(&known)?;
    sensor.push(vec![rule_file(&known)?])?;
    work::announce(&at("go"), "")?;
    let status = wait::until("the actor to end", || Ok(parent.try_wait()?))?;
    ensure!(status.success(), "the actor's parent ended with {status}");

    let reports: Vec<_> =
        sensor.reports()?.into_iter().filter(|report| field(report, "process.comm") == "actor").collect();
    for event in Event::ALL {
        let wanted = deeds(*event, &known)?;
        let seen: Vec<_> = reports.iter().filter(|report| report["event"] == event.name()).collect();
        ensure!(
            seen.len() == wanted.len(),
            "{}: {} reports, not {}: {seen:#?}",
            event.name(),
            seen.len(),
            wanted.len()
        );
        for (number, (report, values)) in seen.iter().zip(&wanted).enumerate() {
            compare(*event, report, values)?;
            let id = format!("known-{}-{number}", event.name().replace('.', "-"));
            ensure!(names_rule(report, &id), "rule {id}, which asks for each value, does not match: {report:#}");
        }
    }
    shared::park(sensor);
    Ok(())
}

fn prepare() -> Result<()> {
    fs::remove_dir_all(DIRECTORY).ok();
    fs::create_dir_all(DIRECTORY)?;
    fs::set_permissions(DIRECTORY, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    fs::create_dir_all(CGROUP)?;
    for program in ["parent-program", "actor-program"] {
        fs::copy(work::PROGRAM, at(program))?;
    }
    fifo::make(&at("fifo").to_string_lossy())?;
    fs::set_permissions(at("fifo"), std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    std::os::unix::fs::chown(at("fifo"), Some(OWNER), None)?;
    Ok(())
}

type Values = BTreeMap<&'static str, Value>;

/// Everything known of what the actor does for one event, each time.
fn deeds(event: Event, known: &Known) -> Result<Vec<Values>> {
    let object = |path: &str| json!(at(path).to_string_lossy());
    let mut values = Values::from([
        ("process.pid", json!(known.pid)),
        ("process.tid", json!(known.tid)),
        ("process.uid", json!(USER)),
        ("process.euid", json!(EFFECTIVE_USER)),
        ("process.start_time", json!(known.start_tick)),
        ("process.cgroup", json!(fs::metadata(CGROUP)?.ino())),
        ("process.comm", json!("actor")),
        ("process.exe", object("actor-program")),
        ("parent.pid", json!(known.parent)),
        ("parent.uid", json!(PARENT_USER)),
        ("parent.comm", json!("the-parent")),
        ("parent.exe", object("parent-program")),
    ]);
    let [inode, device, owner] = if event.name().starts_with("fifo.") { known.fifo } else { known.pipe };
    let made = event == Event::FifoCreate;
    values.insert("path", object(if made { "made" } else { "fifo" }));
    values.insert("mode", json!(libc::S_IFIFO | if made { 0o640 } else { 0o666 }));
    values.extend([("inode", json!(inode)), ("device", json!(device)), ("owner", json!(owner))]);
    values.extend([("size", json!(PAYLOAD.len())), ("payload", json!(PAYLOAD))]);
    let opens = [[true, false, true], [true, true, false], [false, true, true]];
    let each = if event == Event::FifoOpen { &opens[..] } else { &opens[..1] };
    Ok(each
        .iter()
        .map(|[reads, writes, nonblock]| {
            let mut values = values.clone();
            values.extend([("reads", json!(reads)), ("writes", json!(writes)), ("nonblock", json!(nonblock))]);
            values
        })
        .collect())
}

/// One rule for all that the actor does, and one for each deed, which asks for the known value of each field.
fn rule_file(known: &Known) -> Result<sensor_rules::Source> {
    let names: Vec<_> = Event::ALL.iter().map(|event| event.name()).collect();
    let mut rules = vec![("seen".to_owned(), names, "process.comm == 'actor'".to_owned())];
    for event in Event::ALL {
        for (number, values) in deeds(*event, known)?.iter().enumerate() {
            let tests: Result<Vec<_>> = Field::of(*event).map(|field| test(field, values)).collect();
            let id = format!("known-{}-{number}", event.name().replace('.', "-"));
            rules.push((id, vec![event.name()], tests?.join(" && ")));
        }
    }
    let drafts: Vec<_> = rules.iter().map(|(id, events, condition)| Draft::alert(id, events, condition)).collect();
    Ok(rules::file("conformance.yaml", &drafts))
}

/// The condition that a field has its known value. A field that this test does not know fails it.
fn test(field: &Field, values: &Values) -> Result<String> {
    let name = field.name;
    Ok(match values.get(name).with_context(|| format!("this test knows no value for {name}"))? {
        Value::String(text) => format!("{name} == '{text}'"),
        Value::Number(tick) if name == "process.start_time" => {
            let first = tick.as_u64().unwrap_or_default() * TICK;
            format!("{name} >= {first} && {name} < {}", first + TICK)
        }
        value => format!("{name} == {value}"),
    })
}

fn compare(event: Event, report: &Value, values: &Values) -> Result<()> {
    for Field { name, .. } in Field::of(event) {
        let (seen, wanted) = (field(report, name), &values[name]);
        let same = match *name {
            "process.start_time" => seen.as_u64().map(|time| time / TICK) == wanted.as_u64(),
            _ => seen == wanted,
        };
        ensure!(same, "{} says {name} is {seen}, and it is {wanted}: {report:#}", event.name());
    }
    Ok(())
}
