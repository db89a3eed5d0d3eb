//! `creance recover` on the root of another host, whose links say where things are there.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// A root with a state directory at `state`, and a link to it where it belongs; beside it what is outside.
struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    fn new(link: &str) -> Self {
        let disk = Self { directory: tempfile::tempdir().unwrap() };
        for directory in ["root/var/lib", "root/etc/creance", "root/srv/state", "outside"] {
            fs::create_dir_all(disk.path(directory)).unwrap();
        }
        symlink(link, disk.path("root/var/lib/creance")).unwrap();
        disk
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn recover(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_creance"));
        let output = command.args(["recover", "--root"]).arg(self.path("root")).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn links_lead_where_they_lead_on_that_host() {
    let disk = Disk::new("/srv/state");
    fs::write(disk.path("root/srv/state/left.new"), "half").unwrap();
    fs::remove_dir(disk.path("root/etc/creance")).unwrap();
    fs::create_dir(disk.path("root/srv/configuration")).unwrap();
    symlink("/srv/configuration", disk.path("root/etc/creance")).unwrap();
    let (well, said) = disk.recover(&["--pardon", "--safe-mode", "baseline"]);
    assert!(well && said.contains("the host will start with the baseline"), "{said}");
    assert_eq!(names(&disk.path("root/srv/state")), ["state"], "the state of that host is repaired");
    assert_eq!(fs::read_to_string(disk.path("root/srv/configuration/safe-mode")).unwrap(), "baseline\n");
    assert!(said.contains("etc/creance/safe-mode: baseline"), "{said}");
}

#[test]
fn no_link_leads_out_of_the_root() {
    let disk = Disk::new("../../../outside");
    let (well, said) = disk.recover(&["--pardon"]);
    assert!(!well && said.contains("is this the root of a host with Creance?"), "{said}");
    assert!(names(&disk.path("outside")).is_empty(), "{said}");

    // Neither one in the directory itself.
    let disk = Disk::new("/srv/state");
    fs::write(disk.path("outside/notes"), "mine\n").unwrap();
    symlink(disk.path("outside/notes"), disk.path("root/srv/state/journal")).unwrap();
    let (_, said) = disk.recover(&["--pardon"]);
    assert_eq!(fs::read_to_string(disk.path("outside/notes")).unwrap(), "mine\n", "{said}");
    assert!(said.contains("symbolic links"), "{said}");
}
