//! Rules as people write them, by the thousand, and the events of everyday work.

use std::fmt::Write as _;

use sensor_common::{event::Event, record::Record};
use sensor_rules::Source;

/// How many rules one file holds.
const PER_FILE: usize = 500;

/// Conditions that name nothing: they are tried on every event, and there are few of them in every rule set.
const GENERAL: &[(Event, &str)] = &[
    (Event::FifoOpen, "writes && process.uid != owner && mode.has(S_IWOTH) && !path.startsWith(\"/run/\")"),
    (Event::FifoOpen, "process.euid != process.uid && owner != process.euid"),
    (Event::PipePayload, "size > 1048576 && process.euid != process.uid"),
];

/// `count` rules for `event`, in files as they are checked.
pub fn rules(event: Event, count: usize) -> Vec<Source> {
    let general: Vec<_> = GENERAL.iter().filter(|(of, _)| *of == event).map(|(_, condition)| *condition).collect();
    let mut files = Vec::new();
    for first in (0..count).step_by(PER_FILE) {
        let mut text = "rules:\n".to_owned();
        for number in first..(first + PER_FILE).min(count) {
            let condition = general.get(number).map_or_else(|| condition(event, number), ToString::to_string);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "- id: r{number}\n  title: Rule {number}\n  severity: low\n  on: {}\n  condition: |-\n    {condition}",
                event.name()
            );
        }
        files.push(Source { name: format!("rules-{first}.yaml"), text: text.into_bytes() });
    }
    files
}

/// The condition of one rule: of eight kinds, each with names of its own.
fn condition(event: Event, number: usize) -> String {
    let name = name(number);
    let other = self::name(number + 7919);
    match (number % 8, event) {
        (0, Event::PipePayload) => format!("payload.contains(\"{name} -e /bin/sh\")"),
        (1, Event::PipePayload) => format!("payload.startsWith(\"#!{name}\") && process.comm in [\"curl\", \"wget\"]"),
        (2, Event::PipePayload) => format!("payload.contains(\"/dev/tcp/{name}.example/\") && process.uid != 0"),
        (0, _) => format!("path == \"/tmp/.{name}\" || path == \"/dev/shm/{name}\""),
        (1, _) => format!("path in [\"/tmp/{name}\", \"/var/tmp/{name}\", \"/run/{name}.fifo\", \"/tmp/.{other}-x\"]"),
        (2, _) => format!("path.startsWith(\"/var/lib/{name}/\") && !process.exe.startsWith(\"/usr/lib/{name}/\")"),
        (3, _) => format!("process.exe.endsWith(\"/{name}\") && process.uid != 0"),
        (4, _) => {
            format!("process.comm == \"{}\" && parent.exe.endsWith(\"/{other}d\")", &name[..name.len().min(15)])
        }
        (5, _) => {
            format!("parent.exe == \"/usr/sbin/{name}d\" && (process.exe.endsWith(\"sh\") || process.comm == \"perl\")")
        }
        (6, _) => format!(
            "(process.exe == \"/opt/{name}/bin/agent\" || process.exe == \"/usr/local/bin/{name}\") && \
             !(parent.comm in [\"systemd\", \"cron\"])"
        ),
        _ => format!("process.exe.startsWith(\"/home/\") && process.exe.endsWith(\"/{name}.bin\") && parent.uid == 0"),
    }
}

/// A name that no other number has.
fn name(mut number: usize) -> String {
    const PARTS: &[&str] = &["net", "cat", "proxy", "miner", "shell", "drop", "tun", "relay", "sync", "load"];
    let mut name = String::new();
    loop {
        name += PARTS[number % PARTS.len()];
        number /= PARTS.len();
        if number == 0 {
            return name;
        }
    }
}

/// Everyday events of this kind, of which none matches a rule but the general ones where it should.
pub fn events(event: Event) -> Vec<Record> {
    const ACTORS: &[(&str, &str, &str, &str)] = &[
        ("cat", "/usr/bin/cat", "bash", "/usr/bin/bash"),
        ("systemd", "/usr/lib/systemd/systemd", "", ""),
        ("postgres", "/usr/lib/postgresql/15/bin/postgres", "postgres", "/usr/lib/postgresql/15/bin/postgres"),
        ("python3", "/usr/bin/python3.11", "sh", "/usr/bin/dash"),
        (
            "node",
            "/home/deploy/.nvm/versions/node/v22.1.0/bin/node",
            "npm",
            "/home/deploy/.nvm/versions/node/v22.1.0/bin/node",
        ),
        ("make", "/usr/bin/make", "ninja", "/usr/bin/ninja"),
        ("nginx", "/usr/sbin/nginx", "nginx", "/usr/sbin/nginx"),
        ("runc", "/usr/bin/runc", "containerd-shim", "/usr/bin/containerd-shim-runc-v2"),
    ];
    const OBJECTS: &[(&str, &str)] = &[
        ("/run/systemd/initctl/fifo", "Nov 25 06:00:01 host CRON[123]: session opened for user root\n"),
        ("/run/user/1000/app/bus", "{\"level\":\"info\",\"message\":\"request done\",\"status\":200}\n"),
        ("/tmp/tmp.Xk3jAqBz/jobserver", "+"),
        ("/home/user/.cache/build/pipe-1", "total 48\ndrwxr-xr-x 2 root root 4096 Nov 25 06:00 bin\n"),
        (
            "/var/lib/docker/containers/0a1b2c3d/log.fifo",
            "GET /index.html HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n",
        ),
        ("/var/spool/postfix/public/pickup", "W"),
        (
            "/tmp/GMfifo-4711",
            "diff --git a/src/main.rs b/src/main.rs\nindex 83db48f..bf2a3c1 100644\n--- a/src/main.rs\n+++ b/src/main.rs\n@@ -1,5 +1,6 @@\n",
        ),
        (
            "/run/dmeventd-server",
            "\x1f\u{8b}\x08\x00compressed bytes that mean nothing to anybody who looks at them, as most are",
        ),
    ];
    let mut records = Vec::new();
    for (number, (comm, exe, parent_comm, parent_exe)) in ACTORS.iter().enumerate() {
        for (path, payload) in OBJECTS.iter().skip(number % 2).step_by(2) {
            let mut record = Record::EMPTY;
            record.head.event = event as u32;
            record.process.comm.set(comm.as_bytes());
            record.process.exe.set(exe.as_bytes());
            record.parent.comm.set(parent_comm.as_bytes());
            record.parent.exe.set(parent_exe.as_bytes());
            (record.process.pid, record.process.uid, record.process.euid) = (4000, 1000, 1000);
            (record.parent.pid, record.parent.uid) = (3000, 1000);
            (record.object.owner, record.object.mode, record.object.reads) = (1000, 0o010_600, 1);
            record.object.path.set(path.as_bytes());
            record.object.payload.set(payload.as_bytes());
            record.object.size = payload.len() as u64;
            records.push(record);
        }
    }
    records
}

/// An event that the rule with this number, of a rule set of any size above it, matches.
pub fn attack(event: Event) -> Record {
    let mut record = events(event).into_iter().next().unwrap_or(Record::EMPTY);
    // The eighth kind of condition; its number leaves 7 when divided by 8.
    let name = name(15);
    record.process.exe.set(format!("/home/user/{name}.bin").as_bytes());
    record.parent.uid = 0;
    record
}
