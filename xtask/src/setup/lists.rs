//! Package lists: the machine's own, and those of other Debian suites, kept apart from them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::apt;
use crate::{
    command,
    project::{self, KernelSeries},
};

/// What apt looks into.
pub struct Lists {
    /// The suite of interest, where these are not the machine's own.
    suite: Option<&'static str>,
    options: Vec<String>,
}

impl Lists {
    /// Those that the machine is set up with.
    pub fn of_this_machine() -> Self {
        Self { suite: None, options: Vec::new() }
    }

    /// Those of another suite, from the archive that the machine uses; nothing of the machine's own set-up
    /// changes. Packages that are to be installed, not only fetched, need the suites that it builds on too:
    /// `beside`.
    ///
    /// # Errors
    /// Where the machine uses no Debian archive, or there is no room.
    pub fn of_suite(suite: &'static str, beside: &[&str]) -> Result<Self> {
        let root = project::target("tools/apt").join(suite);
        for directory in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(directory)).with_context(|| format!("cannot make {}", root.display()))?;
        }
        let sources = root.join("sources.list");
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let archive = archive()?;
        let line = |suite: &&str| format!("deb [signed-by={keyring}] {archive} {suite} main\n");
        fs::write(&sources, [suite].iter().chain(beside).map(line).collect::<String>())?;
        let option = |name: &str, value: &Path| format!("{name}={}", value.display());
        let options = vec![
            option("Dir::Etc::sourcelist", &sources),
            option("Dir::Etc::sourceparts", Path::new("/dev/null")),
            option("Dir::State::lists", &root.join("lists")),
            option("Dir::Cache", &root.join("cache")),
            // The lists belong to whoever runs this, not to apt's sandbox user.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { suite: Some(suite), options })
    }

    /// Those that name the kernels of a series.
    ///
    /// # Errors
    /// As [`of_suite`](Self::of_suite).
    pub fn of(series: KernelSeries) -> Result<Self> {
        series.suite().map_or_else(|| Ok(Self::of_this_machine()), |suite| Self::of_suite(suite, &[]))
    }

    /// What `look` finds: in the lists as they are, else in those of now.
    ///
    /// # Errors
    /// Where there is no network, or `look` fails.
    pub fn find<T>(&self, look: impl Fn(&Self) -> Result<Option<T>>) -> Result<Option<T>> {
        if let Some(found) = look(self)? {
            return Ok(Some(found));
        }
        self.update()?;
        look(self)
    }

    /// Fetches them anew.
    ///
    /// # Errors
    /// Where there is no right or no network.
    pub fn update(&self) -> Result<()> {
        let Some(suite) = self.suite else { return apt::update() };
        println!("setup: package lists of {suite}");
        command::run(self.command("apt-get").args(["update", "-qq"]))
            .with_context(|| format!("apt could not fetch the package lists of {suite}; is there a network?"))
    }

    /// The names of all packages that match a regular expression.
    ///
    /// # Errors
    /// Where there is no apt.
    pub fn search(&self, pattern: &str) -> Result<Vec<String>> {
        let found = command::output(self.command("apt-cache").args(["search", "--names-only", pattern]))?;
        Ok(found.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// Downloads a package into `directory`, in which nothing else is left; returns its path.
    ///
    /// # Errors
    /// Where there is no network, or no such package.
    pub fn fetch(&self, package: &str, directory: &Path) -> Result<PathBuf> {
        println!("setup: fetching {package}");
        fs::remove_dir_all(directory).ok();
        fs::create_dir_all(directory)?;
        // A stale list may name a version that the archive has replaced: then look again.
        if self.try_download(package, directory).is_err() {
            self.update()?;
            self.try_download(package, directory)
                .with_context(|| format!("cannot fetch {package}; is there a network?"))?;
        }
        let mut files = directory.read_dir()?.flatten().map(|entry| entry.path());
        files
            .find(|path| path.extension() == Some("deb".as_ref()))
            .with_context(|| format!("apt-get download left no package in {}", directory.display()))
    }

    fn try_download(&self, package: &str, directory: &Path) -> Result<()> {
        // apt's sandbox user may not be allowed to write there: it then warns, and downloads as root.
        let mut command = self.command("apt-get");
        command::output(command.args(["download", "-qq", package]).current_dir(directory)).map(drop)
    }

    /// Installs a package of the suite, with what it depends on.
    ///
    /// # Errors
    /// Where there is no right or no network.
    pub fn install(&self, package: &str) -> Result<()> {
        self.update()?;
        let mut options: Vec<_> = self.options().collect();
        options.extend(self.suite.iter().flat_map(|suite| ["-t", suite]));
        apt::install_from(&options, &[package])
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(self.options());
        command
    }

    fn options(&self) -> impl Iterator<Item = &str> {
        self.options.iter().flat_map(|option| ["-o", option])
    }
}

/// The Debian archive that this machine uses.
fn archive() -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]);
    command::output(&mut command)?
        .lines()
        .find_map(|line| line.strip_prefix("Debian "))
        .map(str::to_owned)
        .context("this machine's apt knows no Debian archive: add a Debian source")
}
