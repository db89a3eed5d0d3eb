//! The executables on the lifeline: those that a host's users come in by, the sensor, and what the owner adds.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sensor_common::brakes::{FileKey, Reach};

use super::{
    file_key::key,
    names::Names,
    process_scan::{ProcessScan, running},
};
use crate::kernel::sees_host;

/// Where the programs of the login path lie.
const DIRECTORIES: &[&str] = &[
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/lib/systemd",
    "/usr/lib/systemd",
    "/usr/lib/openssh",
    "/usr/libexec/openssh",
    // NixOS.
    "/run/current-system/sw/bin",
    "/run/current-system/systemd/lib/systemd",
    "/run/wrappers/bin",
];
/// Where programs lie that are none of the login path.
const OTHERS: &[&str] = &["/usr/local/bin", "/usr/local/sbin"];
/// What starts a login shell.
const LOGIN: Reach = Reach::ITSELF.with(Reach::SHELL_OF);
/// The same, where a process without privileges serves the user.
const SSH: Reach = LOGIN.with(Reach::SEPARATED);
/// The login path. What starts a login shell keeps it alive too; what opens the way (`sudo`) only itself.
const PROGRAMS: &[(&str, Reach)] = &[
    ("sshd", SSH),
    ("sshd-session", SSH),
    ("sshd-auth", SSH),
    ("dropbear", LOGIN),
    ("login", LOGIN),
    ("sulogin", LOGIN),
    ("agetty", Reach::ITSELF),
    ("getty", Reach::ITSELF),
    ("systemd-logind", Reach::ITSELF),
    ("systemd-sulogin-shell", Reach::ITSELF),
    ("elogind", Reach::ITSELF),
    ("dbus-daemon", Reach::ITSELF),
    ("dbus-broker", Reach::ITSELF),
    ("dbus-broker-launch", Reach::ITSELF),
    ("unix_chkpwd", Reach::ITSELF),
    ("su", Reach::ITSELF),
    ("sudo", Reach::ITSELF),
    ("sudoedit", Reach::ITSELF),
    ("doas", Reach::ITSELF),
];

/// The login shells of this host, a path on each line.
const SHELLS: &str = "/etc/shells";

/// What is to be on the lifeline, and what of it was found.
#[derive(Debug)]
pub struct Lifeline {
    added: Vec<PathBuf>,
    /// What was on it before, for processes that still run a program that was replaced since.
    old: BTreeMap<FileKey, Reach>,
    /// Who sees what processes run, where this thread may not.
    process_scan: Option<ProcessScan>,
    /// The names of programs, as they were last read.
    names: Option<Names>,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The executables.
    pub listed: BTreeMap<FileKey, Reach>,
    /// What is wrong, for the operator.
    pub complaints: BTreeSet<String>,
}

impl Lifeline {
    /// The same; these were on it before, and stay while a process runs them.
    #[must_use]
    pub fn going_on(self, old: BTreeMap<FileKey, Reach>) -> Self {
        Self { old, ..self }
    }

    /// The same, and `process_scan` sees what processes run.
    #[must_use]
    pub fn seen_by(mut self, process_scan: ProcessScan) -> Self {
        self.process_scan = Some(process_scan);
        self
    }

    /// The login path, the sensor, and the executables named in the file `additions`: a path on each line;
    /// `#` begins a remark.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no absolute path.
    pub fn new(additions: Option<&Path>) -> Result<Self> {
        let mut added = Vec::new();
        if let Some(file) = additions {
            let text = fs::read_to_string(file)
                .with_context(|| format!("the lifeline file {} cannot be read", file.display()))?;
            added = paths(&text).with_context(|| format!("in the lifeline file {}", file.display()))?;
        }
        Ok(Self { added, old: BTreeMap::new(), process_scan: None, names: None })
    }

    /// Looks the executables up, and those that the owner's policy names: an update replaces them while the
    /// daemon runs. What a running process still uses stays.
    pub fn find(&mut self, owner: &[PathBuf]) -> Found {
        let mut found = Found::default();
        if let Ok(file) = fs::File::open("/proc/self/exe")
            && let Ok(key) = key(&file)
        {
            found.listed.insert(key, Reach::ITSELF);
        }
        let shells = fs::read_to_string(SHELLS).unwrap_or_default();
        let where_shells_are =
            shells.lines().filter_map(|line| Path::new(line).parent()).filter(|path| path.is_absolute());
        let directories = DIRECTORIES.iter().chain(OTHERS).map(Path::new).chain(where_shells_are);
        let names = Names::within(directories.map(Path::to_owned)).or(self.names.take());
        for (name, reach) in PROGRAMS {
            for directory in DIRECTORIES {
                found.add(&Path::new(directory).join(name), *reach, false, &names);
            }
        }
        for path in self.added.iter().chain(owner) {
            found.add(path, Reach::ITSELF.with(Reach::ADDED), true, &names);
        }
        found.add_shells(&shells);
        self.names = Some(names);
        self.old.retain(|key, _| !found.listed.contains_key(key));
        if !self.old.is_empty() {
            let running = match &self.process_scan {
                // The host's others are not to be seen.
                _ if !sees_host() => None,
                Some(process_scan) => process_scan.running(),
                None => Some(running()),
            };
            // Not known: then all of them may still be running.
            self.old.retain(|key, _| running.as_ref().is_none_or(|running| running.contains(key)));
        }
        found.listed.extend(&self.old);
        self.old.clone_from(&found.listed);
        found
    }
}

impl Found {
    /// The login shells in this text. Whatever their names are: each is one only as the child of what lets a
    /// user in. One that others than root can write is none.
    fn add_shells(&mut self, text: &str) {
        for line in text.lines().filter(|line| line.starts_with('/')) {
            let Ok(real) = Path::new(line.trim_end()).canonicalize() else { continue };
            let Ok(metadata) = real.metadata() else { continue };
            if metadata.is_file()
                && is_roots(&metadata)
                && let Ok(key) = fs::File::open(&real).map_err(Into::into).and_then(|file| key(&file))
            {
                self.list(key, Reach::SHELL);
            }
        }
    }

    fn list(&mut self, key: FileKey, reach: Reach) {
        let known = self.listed.entry(key).or_default();
        *known = known.with(reach);
    }

    fn add(&mut self, path: &Path, reach: Reach, wanted: bool, names: &Names) {
        match identify(path, reach, names) {
            Ok(Some(key)) => {
                self.list(key, reach);
            }
            Ok(None) if wanted => {
                self.complaints
                    .insert(format!("{} is to be on the lifeline, and there is no such file", path.display()));
            }
            Ok(None) => {}
            Err(error) => {
                self.complaints.insert(format!("{} cannot be on the lifeline: {error:#}", path.display()));
            }
        }
    }
}

/// The paths in a list of additions.
fn paths(text: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if !line.starts_with('/') {
            bail!("line {}: `{line}` is no absolute path: name each executable from / on", number + 1);
        }
        paths.push(line.into());
    }
    Ok(paths)
}

/// Whether nobody but root can change a file.
fn is_roots(metadata: &fs::Metadata) -> bool {
    metadata.uid() == 0 && metadata.mode() & 0o022 == 0
}

/// The executable at `path`, which is to have this reach; `None` where there is none.
fn identify(path: &Path, reach: Reach, names: &Names) -> Result<Option<FileKey>> {
    let Ok(real) = path.canonicalize() else { return Ok(None) };
    // Before it is opened: to open a FIFO is to wait for its writer.
    let metadata = real.metadata()?;
    if !metadata.is_file() {
        bail!("it is no file");
    }
    if metadata.nlink() > 1 && !is_roots(&metadata) {
        bail!("it has several links, and others than root can write to it");
    }
    // To the kernel all names of one file are one program: with busybox's login, its shell would be on the lifeline.
    let is_same = |name: &OsStr| {
        path.file_name() == Some(name)
            || PROGRAMS.iter().any(|(known, known_reach)| name == *known && *known_reach == reach)
    };
    let others: Vec<_> = names.of(&real, &metadata).into_iter().filter(|name| !is_same(name)).collect();
    if !others.is_empty() {
        let others: Vec<_> = others.iter().map(|name| name.display().to_string()).collect();
        bail!("it is one program under several names ({}), of which others are no way in", others.join(", "));
    }
    key(&fs::File::open(&real)?).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_are_absolute_paths() {
        assert_eq!(
            paths("# rescue\n/opt/rescue # by ssh\n\n  /sbin/x\n").unwrap(),
            [PathBuf::from("/opt/rescue"), PathBuf::from("/sbin/x")]
        );
        assert!(paths("/a\nb").unwrap_err().to_string().contains("line 2: `b`"));
    }

    #[test]
    fn a_login_shell_is_root_s_whatever_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let others = directory.path().join("shell");
        fs::copy("/bin/sh", &others).unwrap();
        fs::set_permissions(&others, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let mut found = Found::default();
        found.add_shells(&format!("# login shells\n/bin/sh\n/absent\n/dev/null\n{}\n", others.display()));
        let shell = key(&fs::File::open("/bin/sh").unwrap()).unwrap();
        assert_eq!(found.listed, BTreeMap::from([(shell, Reach::SHELL)]));
    }

    /// `identify` where the programs are in `bin` of a directory, for one that is to keep itself alive.
    fn identified(path: &Path) -> Result<Option<FileKey>> {
        identify(path, Reach::ITSELF, &Names::within(path.parent().map(Path::to_owned)))
    }

    #[test]
    fn a_program_whose_other_names_are_no_way_in_is_not_listed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("alone"), "").unwrap();
        fs::write(path("su"), "").unwrap();
        fs::hard_link(path("su"), path("sh")).unwrap();
        std::os::unix::fs::symlink(path("alone"), path("other")).unwrap();
        assert!(identified(&path("alone")).unwrap().is_some());
        assert!(identified(&path("su")).is_err() && identified(&path("other")).is_err());
        assert_eq!(identified(&path("absent")).unwrap(), None);
    }

    /// `OSTree`, a Nix store: the other names are in a place where nobody starts programs.
    #[test]
    fn a_program_of_root_s_with_links_elsewhere_is_listed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (bin, repository) = (path("bin"), path("repository"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&repository).unwrap();
        fs::write(bin.join("agetty"), "").unwrap();
        fs::hard_link(bin.join("agetty"), repository.join("0a1b.file")).unwrap();
        // A second name of the login path, by either kind of link.
        fs::hard_link(bin.join("agetty"), bin.join("getty")).unwrap();
        std::os::unix::fs::symlink(bin.join("agetty"), path("getty")).unwrap();
        let is_root = bin.join("agetty").metadata().unwrap().uid() == 0;
        for path in [bin.join("agetty"), bin.join("getty"), path("getty")] {
            // Whoever runs this test: what is not root's own stays out.
            assert_eq!(identified(&path).is_ok_and(|key| key.is_some()), is_root, "{}", path.display());
        }
        fs::set_permissions(bin.join("agetty"), std::os::unix::fs::PermissionsExt::from_mode(0o775)).unwrap();
        assert!(identified(&bin.join("agetty")).is_err(), "others can write to it");
        // What keeps login shells alive is no second name of what keeps itself alive only.
        fs::write(bin.join("sudo"), "").unwrap();
        fs::hard_link(bin.join("sudo"), bin.join("login")).unwrap();
        assert!(identified(&bin.join("sudo")).is_err());
    }

    #[test]
    fn a_replaced_program_stays_while_it_runs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sleep");
        fs::copy("/bin/sleep", &path).unwrap();
        let mut lifeline = Lifeline { added: vec![path.clone()], ..Lifeline::new(None).unwrap() };
        let old = identified(&path).unwrap().unwrap();
        assert!(lifeline.find(&[]).listed.contains_key(&old));
        let mut child = std::process::Command::new(&path).arg("1000").spawn().unwrap();
        let new = directory.path().join("new");
        fs::copy("/bin/sleep", &new).unwrap();
        fs::rename(&new, &path).unwrap();
        let found = lifeline.find(&[]).listed;
        assert!(found.contains_key(&old) && found.contains_key(&identified(&path).unwrap().unwrap()));
        // Also where the daemon is another by then; but not what nobody runs any more.
        let gone = FileKey { inode: u64::MAX, ..old };
        let before = found.into_iter().chain([(gone, Reach::ITSELF)]).collect();
        let mut lifeline = Lifeline::new(None).unwrap().going_on(before);
        let found = lifeline.find(&[]).listed;
        assert!(found.contains_key(&old) && !found.contains_key(&gone));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!lifeline.find(&[]).listed.contains_key(&old));
    }
}
