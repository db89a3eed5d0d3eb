//! Reads rule files.
//! Those built into the program are in [`baseline`].

pub mod baseline;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use sensor_rules::Source;

use crate::host::files;

/// Longest rule file that is read, bytes. The checks refuse shorter ones already; this keeps a mistaken path
/// from filling memory.
const FILE_MAX: usize = 16 << 20;

/// The rule files at `paths`: files themselves, and `*.yaml` and `*.yml` in directories and below, in the
/// order of their names.
///
/// # Errors
/// When something cannot be read, or a directory holds no rule file.
pub fn read<P: AsRef<Path>>(paths: &[P]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let is_directory = fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.is_dir();
        if is_directory {
            let files = rule_files(path)?;
            ensure!(
                !files.is_empty(),
                "{} holds no rules: no file there ends in .yaml or .yml\nName a directory with rule files, or the files themselves.",
                path.display()
            );
            for file in files {
                sources.push(read_file(&file)?);
            }
        } else {
            sources.push(read_file(path)?);
        }
    }
    Ok(sources)
}

/// The rule files in `directory` and below, sorted. Names with a dot in front are passed over.
fn rule_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("the directory {} cannot be read", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        let entry = entry.with_context(context)?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type().with_context(context)?;
        // It could lead in a circle, so it is not followed; and what is silently left out is missed by nobody.
        ensure!(
            !(kind.is_symlink() && path.is_dir()),
            "{} is a symbolic link to a directory, and is not followed\nName that directory itself, beside this one, or put it here.",
            path.display()
        );
        if kind.is_dir() {
            files.extend(rule_files(&path)?);
        } else if matches!(path.extension().and_then(OsStr::to_str), Some("yaml" | "yml")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> anyhow::Result<Source> {
    let text = files::read(path, FILE_MAX, "rule file")?;
    Ok(Source { name: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn finds_rule_files_below_in_order_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/c")).unwrap();
        for file in ["b/c/z.yaml", "b/1.yml", "a.yaml", "README.md", ".hidden.yaml"] {
            fs::write(dir.path().join(file), file).unwrap();
        }
        let names: Vec<_> = read(&[dir.path()])
            .unwrap()
            .into_iter()
            .map(|source| source.name.strip_prefix(&format!("{}/", dir.path().display())).unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.yaml", "b/1.yml", "b/c/z.yaml"]);
    }

    #[test]
    fn a_link_to_a_directory_is_refused_and_one_to_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (rules, other) = (dir.path().join("rules"), dir.path().join("other"));
        fs::create_dir(&rules).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("a.yaml"), "a").unwrap();
        symlink("../other/a.yaml", rules.join("a.yaml")).unwrap();
        // As a directory that Kubernetes mounts has one.
        symlink("../other", rules.join("..data")).unwrap();
        assert_eq!(read(&[&rules]).unwrap()[0].text, b"a");
        assert_eq!(read(&[rules.join("..data")]).unwrap().len(), 1, "what is named is followed");
        for name in ["more", "more.yaml"] {
            symlink("../other", rules.join(name)).unwrap();
            let error = read(&[&rules]).unwrap_err().to_string();
            assert!(error.contains(&format!("rules/{name} is a symbolic link to a directory")), "{error}");
            fs::remove_file(rules.join(name)).unwrap();
        }
    }

    #[test]
    fn nothing_to_read_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        for (path, word) in [
            (dir.path().to_owned(), "holds no rules"),
            (dir.path().join("x.yaml"), "cannot be read"),
            ("/dev/zero".into(), "no regular file"),
        ] {
            let error = format!("{:#}", read(&[&path]).unwrap_err());
            assert!(error.contains(word) && error.contains(path.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_huge_file_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("huge.yaml");
        fs::File::create(&path).unwrap().set_len(FILE_MAX as u64 + 1).unwrap();
        assert!(read(&[&path]).unwrap_err().to_string().contains("16 MiB"));
    }
}
