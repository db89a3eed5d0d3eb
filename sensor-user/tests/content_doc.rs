//! `docs/content.md` says what the program does: each command in it is run here, in order, and says what is shown.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sensor_content::life::{BootId, Stage};
use sensor_user::daemon::keeper::Settings;
use support::{Daemon, rule_file, write};

const DOC: &str = include_str!("../../docs/content.md");

/// A command and the lines that are shown to follow.
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The fenced blocks of this kind.
fn blocks(kind: &str) -> impl Iterator<Item = &'static str> {
    let fence = format!("```{kind}\n");
    DOC.match_indices(&fence)
        .map(|(at, fence)| &DOC[at + fence.len()..])
        .map(|rest| rest.split("```").next().unwrap())
        .collect::<Vec<_>>()
        .into_iter()
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks("console") {
        for line in block.lines() {
            match line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
                Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                None => steps.last_mut().unwrap().shown.push(line.to_owned()),
            }
        }
    }
    steps
}

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

/// Whether `line` is what was shown, where `…` stands for anything.
fn is_shown(line: &str, shown: &str) -> bool {
    let mut rest = line;
    for (index, part) in shown.split('…').enumerate() {
        match rest.find(part) {
            Some(0) if index == 0 => rest = &rest[part.len()..],
            Some(at) if index > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    shown.ends_with('…') || rest.is_empty()
}

#[test]
fn each_command_says_what_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, &[rule_file("one"), rule_file("two")]);
    fs::write(root.join("content.toml"), include_str!("../../packaging/content.toml")).unwrap();
    for block in blocks("toml") {
        let name = block.lines().next().unwrap().strip_prefix("# ").unwrap();
        fs::write(root.join(name), block).unwrap();
    }
    let (_daemon, bin) = host(root);
    let steps = steps();
    assert!(steps.len() >= 20, "{}", steps.len());
    for Step { command, shown } in steps {
        let here = |path: &str| format!(" {}{path}", root.display());
        let command_here = command.replace(" /etc/", &here("/etc/")).replace(" /mnt", &here(""));
        let output = Command::new("sh")
            .args(["-c", &format!("{command_here} 2>&1")])
            .current_dir(root)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        // What is refused is shown, too.
        let refused = shown.iter().any(|line| line.contains("is denied here"));
        assert_eq!(output.status.success(), !refused, "{command}:\n{said}");
        let mut lines = said.lines();
        for shown in shown {
            assert!(
                shown == "…" || lines.any(|line| is_shown(line, &shown)),
                "{command}: `{shown}` is missing in:\n{said}"
            );
        }
    }
}

#[test]
fn each_state_is_explained_in_its_own_words() {
    for stage in Stage::ALL {
        assert!(DOC.contains(&format!("| {} | {}", stage.name(), stage.doc())), "{stage:?}");
    }
}
