//! A thread that sees which executables the processes of this host run. It is apart from the rest of the daemon, which
//! [`confine`]s itself so that it cannot.

use std::{
    collections::BTreeSet,
    fs,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use anyhow::{Context, Result};
use sensor_common::brakes::FileKey;

use super::file_key::key;
use crate::{daemon::confine, log::say};

/// The thread that lists the executables of running processes, and how it is asked.
#[derive(Debug)]
pub struct ProcessScan {
    questions: Sender<()>,
    answers: Receiver<BTreeSet<FileKey>>,
}

impl ProcessScan {
    /// Starts the thread; it has given up what it does not need when this returns. It ends with what is returned.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> Result<Self> {
        let (questions, asked) = channel();
        let (answer, answers) = channel();
        let (begun, begins) = channel();
        thread::Builder::new().name("process-scan".into()).spawn(move || {
            let confined = confine::process_scan();
            if begun.send(confined).is_err() {
                return;
            }
            while asked.recv().is_ok() && answer.send(running()).is_ok() {}
        })?;
        if let Err(error) = begins.recv().context("the thread that looks at processes ended")? {
            say(format_args!("WARNING: the thread that looks at processes keeps all its rights: {error:#}"));
        }
        Ok(Self { questions, answers })
    }

    /// What the processes of this host run; `None` where that is not known.
    pub fn running(&self) -> Option<BTreeSet<FileKey>> {
        self.questions.send(()).ok()?;
        self.answers.recv().ok()
    }
}

/// What the processes of this host run, as far as this thread may see it.
pub(super) fn running() -> BTreeSet<FileKey> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .filter_map(|entry| key(&fs::File::open(entry.path().join("exe")).ok()?).ok())
        .collect()
}
