//! `docs/content.md` says what the program does: each command in it is run here, in order, and says what is shown.
#![allow(clippy::unwrap_used, reason = "a test")]

mod pages;
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sensor_content::life::{BACK_OFF, BootId, Stage};
use sensor_user::host::settings::Settings;
use support::Daemon;

const DOC: &str = include_str!("../../docs/content.md");

/// A root file system for a host, with a `creance` that looks there.
fn host(root: &Path) -> (Daemon, PathBuf) {
    let etc = root.join("etc/creance");
    fs::create_dir_all(&etc).unwrap();
    let daemon = Daemon::keeping(&Settings {
        state: root.join("var/lib/creance"),
        policy: etc.join("content.toml"),
        keys: etc.join("keys"),
        approvals: etc.join("approvals"),
        safe_mode: etc.join("safe-mode"),
        boot: BootId("now".into()),
        program: env!("CARGO_BIN_EXE_creance").into(),
        settle: Duration::from_mins(10),
        up: Duration::from_mins(2),
        back_off: BACK_OFF,
    });
    let (etc, state) = (etc.display(), root.join("var/lib/creance"));
    let script = format!(
        "#!/bin/sh\ncase \"$1 $2\" in\n\
         'policy check') set -- \"$@\" {etc}/content.toml ;;\n\
         'policy explain') set -- \"$@\" --policy {etc}/content.toml --approvals {etc}/approvals --state {} ;;\n\
         'policy approve') set -- \"$@\" --approvals {etc}/approvals ;;\n\
         push*|history*|status*|rollback*) set -- \"$@\" --socket {} ;;\n\
         esac\nexec {} \"$@\"\n",
        state.display(),
        daemon.socket.display(),
        env!("CARGO_BIN_EXE_creance")
    );
    let bin = root.join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("creance"), script).unwrap();
    fs::set_permissions(bin.join("creance"), fs::Permissions::from_mode(0o755)).unwrap();
    (daemon, bin)
}

/// The page shows what the shipped rules give, warnings included.
fn copy_shipped_rules(to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir("../rules").unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn each_command_says_what_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    copy_shipped_rules(&root.join("rules"));
    fs::write(root.join("content.toml"), include_str!("../../packaging/content.toml")).unwrap();
    for block in pages::blocks(DOC, "toml") {
        let name = block.lines().next().unwrap().strip_prefix("# ").unwrap();
        fs::write(root.join(name), block).unwrap();
    }
    let (_daemon, bin) = host(root);
    let steps = pages::steps(DOC);
    assert!(steps.len() >= 20, "{}", steps.len());
    for step in steps {
        let here = |path: &str| format!(" {}{path}", root.display());
        let command = step.command.replace(" /etc/", &here("/etc/")).replace(" /mnt", &here(""));
        let output = Command::new("sh")
            .args(["-c", &format!("{command} 2>&1")])
            .current_dir(root)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        // What is refused is shown, too.
        step.check(output, &["is denied here"]);
    }
}

#[test]
fn each_state_is_explained_in_its_own_words() {
    for stage in Stage::ALL {
        assert!(DOC.contains(&format!("| {} | {}", stage.name(), stage.doc())), "{stage:?}");
    }
}
