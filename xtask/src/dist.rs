//! `cargo xtask dist`: packages for Debian and for what uses RPM, of the static binary that everything else
//! is tested with.
//!
//! What is in them stands once, in `packaging/Cargo.toml` for `cargo-deb`; the list for `cargo-generate-rpm`
//! is made from it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{build, command, project, setup};

/// The crate that says what is packed, and its directory.
const CRATE: &str = "creance-packaging";
const DIRECTORY: &str = "packaging";

/// Builds both packages, and says where they are.
///
/// # Errors
/// Where a tool is missing and cannot be installed, or something does not build.
pub fn run() -> Result<ExitCode> {
    setup::compiler()?;
    build::everything()?;
    let debian = debian_package(1)?;
    let rpm = rpm_package()?;
    for package in [debian, rpm] {
        println!("{} ({} kB)", package.display(), package.metadata()?.len().div_ceil(1000));
    }
    Ok(ExitCode::SUCCESS)
}

/// The Debian package; another revision of the same is for upgrades.
///
/// # Errors
/// As [`run`].
pub fn debian_package(revision: u32) -> Result<PathBuf> {
    setup::packager(setup::CARGO_DEB)?;
    stage()?;
    let package = directory().join(format!("creance-{revision}.deb"));
    let mut cargo = tool(setup::CARGO_DEB);
    cargo.args(["--no-build", "--no-strip", "--quiet", "--package", CRATE, "--target", project::TARGET]);
    cargo.args(["--deb-revision", &revision.to_string(), "--output"]).arg(&package);
    command::run(cargo.current_dir(project::root())).context("the Debian package cannot be built")?;
    Ok(package)
}

fn rpm_package() -> Result<PathBuf> {
    setup::packager(setup::CARGO_GENERATE_RPM)?;
    setup::rpm()?;
    stage()?;
    let (list, package) = (directory().join("rpm.toml"), directory().join("creance.rpm"));
    let assets = rpm_assets(assets()?);
    fs::write(&list, rpm_list(&assets))?;
    let mut cargo = tool(setup::CARGO_GENERATE_RPM);
    // A package is a directory to it.
    cargo.args(["--package", DIRECTORY, "--target", project::TARGET, "--metadata-overwrite"]).arg(&list);
    command::run(cargo.arg("--output").arg(&package).current_dir(project::root()))
        .context("the RPM package cannot be built")?;
    let (there, wanted) = (files_of(&package)?, rpm_files(&assets)?);
    ensure!(there == wanted, "the RPM package holds {there:#?}, and should hold {wanted:#?}");
    Ok(package)
}

/// What is packed and lies nowhere in the checkout: man pages, completions, and the policy that changes nothing.
fn stage() -> Result<()> {
    let directory = directory();
    fs::create_dir_all(&directory)?;
    let mut pages = Command::new(project::binary("creance-pages"));
    command::run(pages.arg(&directory)).context("man pages and completions cannot be made")?;
    let example = fs::read_to_string(project::root().join(DIRECTORY).join("content.toml"))?;
    fs::write(directory.join("content.toml"), without_settings(&example))?;
    Ok(())
}

/// The table of the policy that a packaged host starts with.
const KEPT: &str = "[shadow]";

/// The example of a policy with every setting behind `#`, but that a release is first tried in the shadow.
fn without_settings(example: &str) -> String {
    let (mut policy, mut kept) = (String::new(), false);
    for line in example.lines() {
        if line.starts_with('[') {
            kept = line == KEPT;
        }
        let behind = if kept || line.is_empty() || line.starts_with('#') { "" } else { "# " };
        policy.extend([behind, line, "\n"]);
    }
    policy
}

fn directory() -> PathBuf {
    project::target("dist")
}

fn tool(tool: setup::Packager) -> Command {
    let mut command = Command::new(tool.path());
    // Called as cargo calls its subcommands; the time of the last commit, so that the same sources give the
    // same package.
    command.arg(tool.subcommand());
    let time = command::output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(project::root()));
    if let Ok(time) = time {
        command.env("SOURCE_DATE_EPOCH", time.trim());
    }
    command
}

/// One file or pattern of files, where it goes, and its mode.
struct Asset {
    source: PathBuf,
    destination: String,
    mode: String,
}

/// The list for the Debian package, and the unit, which `cargo-deb` adds by itself.
fn assets() -> Result<Vec<Asset>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(project::root());
    let metadata: Value = serde_json::from_str(&command::output(&mut cargo)?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let package = packages.iter().find(|package| package["name"] == CRATE).context("no such crate")?;
    let list = package["metadata"]["deb"]["assets"].as_array().context("no assets in package.metadata.deb")?;
    let mut assets = list.iter().map(asset).collect::<Result<Vec<_>>>()?;
    assets.push(Asset {
        source: project::root().join(DIRECTORY).join("creance.service"),
        destination: "/usr/lib/systemd/system/".to_owned(),
        mode: "644".to_owned(),
    });
    Ok(assets)
}

fn asset(value: &Value) -> Result<Asset> {
    let word = |index: usize| value[index].as_str().map(str::to_owned);
    let (Some(source), Some(destination), Some(mode)) = (word(0), word(1), word(2)) else {
        bail!("not an asset: {value}");
    };
    let source = match source.strip_prefix("target/release/") {
        Some(binary) => project::binary(binary),
        None => project::root().join(DIRECTORY).join(source),
    };
    Ok(Asset { source, destination: format!("/{destination}"), mode })
}

/// The files that an RPM package holds, as `rpm` reads it.
fn files_of(package: &Path) -> Result<BTreeSet<String>> {
    let list = command::output(Command::new("rpm").args(["--query", "--list", "--package"]).arg(package))?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// The files that it should hold.
fn rpm_files(assets: &[Asset]) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for Asset { source, destination, .. } in assets {
        let found: Vec<_> = glob(source)?;
        ensure!(!found.is_empty(), "there is no {}", source.display());
        let place = |file: &PathBuf| match (destination.ends_with('/'), file.file_name()) {
            (true, Some(name)) => format!("{destination}{}", name.to_string_lossy()),
            _ => destination.clone(),
        };
        files.extend(found.iter().map(place));
    }
    Ok(files)
}

/// The files that are meant by a path whose last part may begin with `*`.
fn glob(pattern: &Path) -> Result<Vec<PathBuf>> {
    let name = pattern.file_name().and_then(|name| name.to_str()).context("a pattern without a name")?;
    let Some(end) = name.strip_prefix('*') else {
        return Ok(pattern.exists().then(|| pattern.into()).into_iter().collect());
    };
    let entries = fs::read_dir(pattern.parent().context("a pattern without a directory")?)?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.to_string_lossy().ends_with(end)).collect())
}

/// The same for RPM: completions for zsh have another place there, and the licences come along.
fn rpm_assets(mut assets: Vec<Asset>) -> Vec<Asset> {
    for asset in &mut assets {
        asset.destination = asset.destination.replace("zsh/vendor-completions", "zsh/site-functions");
    }
    assets.extend(["LICENSE-APACHE", "LICENSE-MIT"].map(|name| Asset {
        source: project::root().join(name),
        destination: "/usr/share/licenses/creance/".to_owned(),
        mode: "644".to_owned(),
    }));
    assets
}

/// The list as `cargo-generate-rpm` reads it; what lies in `/etc` is its owner's.
fn rpm_list(assets: &[Asset]) -> String {
    let line = |asset: &Asset| {
        let Asset { source, destination, mode } = asset;
        let config = if destination.starts_with("/etc/") { ", config = \"noreplace\"" } else { "" };
        let source = normal(source).display().to_string();
        format!("    {{ source = {source:?}, dest = {destination:?}, mode = {mode:?}{config} }},\n")
    };
    format!("assets = [\n{}]\n", assets.iter().map(line).collect::<String>())
}

/// The path without `..`; it may hold a pattern, so the file system is not asked.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_policy_asks_for_a_shadow_run_and_nothing_else() {
        let example = "# About.\n\nring = \"early\"\n# [hold]\n[shadow]\ntime = 1\n[urgent]\ndelay = 2\n";
        let packaged = "# About.\n\n# ring = \"early\"\n# [hold]\n[shadow]\ntime = 1\n# [urgent]\n# delay = 2\n";
        assert_eq!(without_settings(example), packaged);
    }

    #[test]
    fn both_packages_hold_the_same() {
        let list = rpm_list(&rpm_assets(assets().unwrap()));
        for file in
            ["release/creance\", dest = \"/usr/bin/\"", "creance.service", "/etc/creance/\", mode = \"644\", config"]
        {
            assert!(list.contains(file), "no {file} in {list}");
        }
        assert!(!list.contains(".."), "{list}");
    }
}
