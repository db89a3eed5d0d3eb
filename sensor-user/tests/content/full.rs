//! The disk that generations are kept on is full: what is good starts, nothing new is taken, nobody is blamed, and
//! all goes on once there is room. On real file systems, each in a mount namespace of its own.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
};

use super::{Host, bundle, content, refused, running};

/// A file system on the host's directory `state`; `None` where that cannot be mounted here.
fn mounted(make: &str) -> Option<Host> {
    // SAFETY: takes a number; this thread, and those that it starts, get a namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        println!("not run: needs root, to mount: {}", std::io::Error::last_os_error());
        return None;
    }
    let host = Host::new();
    let script = format!(
        "mount --make-rprivate / && cd {} && mkdir state && {make} && mount -o loop image state",
        host.path().display()
    );
    let mounted = Command::new("sh").args(["-c", &script]).output().unwrap();
    if !mounted.status.success() {
        println!("not run: {make}: {}", String::from_utf8_lossy(&mounted.stderr));
        return None;
    }
    Some(host)
}

/// Leaves no room for a byte, and no place for a file.
fn fill(state: &Path) {
    let mut file = File::create(state.join("fill")).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() && file.sync_data().is_ok() {}
    }
    // What is left may do for a small file.
    for number in 0.. {
        if File::create(state.join(format!("fill-{number}")))
            .and_then(|mut file| file.write_all(&[b'x'; 4096]))
            .is_err()
        {
            break;
        }
    }
    let error = fs::write(state.join("fill-last"), [b'x'; 4096]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

fn make_room(state: &Path) {
    for entry in fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("fill") {
            fs::remove_file(path).unwrap();
        }
    }
}

fn what_is_good_starts_and_nothing_else_until_there_is_room(make: &str) {
    let Some(host) = mounted(make) else { return };
    let state = host.path().join("state");
    host.makes_good(&[120]);
    fill(&state);
    let daemon = host.boots("now");
    assert_eq!(running(&daemon), Some(120), "it starts");
    let said = refused(&daemon, &bundle(124)).message;
    assert!(said.contains("cannot be written down") && said.contains("No space left"), "{said}");
    assert_eq!(running(&daemon), Some(120));
    make_room(&state);
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    daemon.stop();

    // On probation, and to be tried again.
    fill(&state);
    let daemon = host.boots("next");
    for _ in 0..2 {
        daemon.core.generations().tick();
        assert_eq!((running(&daemon), content(&daemon).denied), (Some(120), vec![]), "it is not to blame");
        let waits = content(&daemon).waits.unwrap();
        assert!(waits.contains("cannot be written down") && waits.contains("No space left"), "{waits}");
    }
    make_room(&state);
    daemon.core.generations().tick();
    assert_eq!((running(&daemon), content(&daemon).trouble), (Some(124), vec![]));
    daemon.core.generations().tick();
    assert_eq!(content(&daemon).good, [124, 120]);
    daemon.stop();
    assert!(Command::new("umount").arg(&state).status().unwrap().success());
}

#[test]
fn on_ext4() {
    what_is_good_starts_and_nothing_else_until_there_is_room("truncate -s 6M image && mkfs.ext4 -q image");
}

#[test]
fn on_xfs() {
    what_is_good_starts_and_nothing_else_until_there_is_room("truncate -s 300M image && mkfs.xfs -q image");
}
