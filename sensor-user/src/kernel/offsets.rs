//! The read-only globals of the kernel side: offsets and enumerators of the running kernel, by name.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt as _,
};

use anyhow::Result;
use sensor_common::{
    kernel::ABSENT, kernel_enumerators, kernel_members, kernel_optional_members, kernel_sizes, kernel_variables,
};

use super::{btf::Btf, own};

/// The name of a global in `sensor-ebpf`, and its value on this kernel.
pub type Global = (&'static str, u32);

/// (global, struct, spellings of the member)
type Member = (&'static str, &'static str, &'static [&'static str]);
/// (global, enum, enumerator)
type Enumerator = (&'static str, &'static str, &'static str);

macro_rules! members {
    ($($global:ident: $type:literal, [$($member:literal),+];)+) => {
        const MEMBERS: &[Member] = &[$((stringify!($global), $type, &[$($member),+]),)+];
    };
}
kernel_members!(members);

macro_rules! enumerators {
    ($($global:ident: $type:literal, $name:literal;)+) => {
        const ENUMERATORS: &[Enumerator] = &[$((stringify!($global), $type, $name),)+];
    };
}
kernel_enumerators!(enumerators);

macro_rules! optional_members {
    ($($global:ident: $type:literal, $member:literal;)+) => {
        const OPTIONAL_MEMBERS: &[(&str, &str, &str)] = &[$((stringify!($global), $type, $member),)+];
    };
}
kernel_optional_members!(optional_members);

macro_rules! sizes {
    ($($global:ident: $type:literal;)+) => {
        const SIZES: &[(&str, &str)] = &[$((stringify!($global), $type),)+];
    };
}
kernel_sizes!(sizes);

macro_rules! variables {
    ($($global:ident: $name:literal;)+) => {
        const VARIABLES: &[(&str, &str)] = &[$((stringify!($global), $name),)+];
    };
}
kernel_variables!(variables);

/// Where the kernel shows the addresses of its variables, to who has `CAP_SYSLOG`, unless
/// `kernel.kptr_restrict` is 2.
const SYMBOLS: &str = "/proc/kallsyms";

/// The name of a global in `sensor-ebpf`, and the address of a variable of this kernel; 0 where that is not
/// shown.
pub fn variables() -> Vec<(&'static str, u64)> {
    // A kernel may have no such file, and a container may hide it: then what it would show is unread.
    let symbols = File::open(SYMBOLS).map(BufReader::new);
    let names: Vec<_> = VARIABLES.iter().map(|(_, name)| *name).collect();
    let addresses = symbols.map_or_else(|_| vec![0; VARIABLES.len()], |symbols| addresses(symbols, &names));
    VARIABLES.iter().map(|(global, _)| *global).zip(addresses).collect()
}

/// The name of a global in `sensor-ebpf`, and the inode number of the mount namespace of the host's first
/// process; 0 where that is not to be known: in a pid namespace, process 1 is another one.
pub fn host_mount_namespace() -> Global {
    let first = own::sees_host().then(|| fs::metadata("/proc/1/ns/mnt").ok()).flatten();
    let number = first.map(|namespace| namespace.ino()).unwrap_or_default();
    ("HOST_MOUNT_NAMESPACE", u32::try_from(number).unwrap_or_default())
}

/// The addresses of the variables with these names, as far as they can be read: lines are `address kind
/// name`, as many as the kernel has functions and variables.
fn addresses(mut symbols: impl BufRead, names: &[&str]) -> Vec<u64> {
    let mut found = vec![None; names.len()];
    let mut line = String::new();
    while found.contains(&None) && symbols.read_line(&mut line).is_ok_and(|length| length > 0) {
        let mut words = line.split_ascii_whitespace();
        if let (Some(address), Some(_), Some(name), None) = (words.next(), words.next(), words.next(), words.next())
            && let Some(index) = names.iter().position(|wanted| *wanted == name)
        {
            found[index].get_or_insert(u64::from_str_radix(address, 16).unwrap_or(0));
        }
        line.clear();
    }
    found.into_iter().map(Option::unwrap_or_default).collect()
}

/// Resolves all globals.
///
/// # Errors
/// The first member that this kernel does not have, or has ambiguously, by its name.
pub fn resolve(btf: &Btf) -> Result<Vec<Global>> {
    let members = MEMBERS.iter().map(|(global, name, members)| Ok((*global, offset(btf, name, members)?)));
    let enumerators = ENUMERATORS
        .iter()
        .map(|(global, name, enumerator)| Ok((*global, btf.enumerator(name, enumerator)?.unwrap_or(ABSENT))));
    let sizes = SIZES.iter().map(|(global, name)| Ok((*global, btf.size(name)?)));
    let optional = OPTIONAL_MEMBERS
        .iter()
        .map(|(global, name, member)| Ok((*global, btf.offset(name, member)?.unwrap_or(ABSENT))));
    let globals = members.chain(optional).chain(enumerators).chain(sizes).collect::<Result<Vec<_>>>()?;
    in_one_piece(&globals)?;
    Ok(globals)
}

/// The kernel side reads a directory entry's parent and name by one call: they must lie as its `Node` says.
fn in_one_piece(globals: &[Global]) -> Result<()> {
    let value = |name| globals.iter().find(|(global, _)| *global == name).map_or(0, |(_, value)| *value);
    let parent = value("DENTRY_D_PARENT");
    anyhow::ensure!(
        value("DENTRY_NAME_LEN") == parent + 12 && value("DENTRY_NAME") == parent + 16,
        "this kernel's `struct dentry` does not have `d_name` behind `d_parent`"
    );
    Ok(())
}

fn offset(btf: &Btf, name: &str, members: &[&str]) -> Result<u32> {
    for member in members {
        if let Some(offset) = btf.offset(name, member)? {
            return Ok(offset);
        }
    }
    anyhow::bail!("this kernel's `struct {name}` has no member `{}`", members.join("` or `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_on_the_kernel_that_runs_this_test() {
        if !std::path::Path::new(super::super::btf::PATH).exists() {
            println!("not run: this kernel shows no BTF");
            return;
        }
        let btf = Btf::of_this_kernel().unwrap();
        let globals = resolve(&btf).unwrap();
        assert_eq!(globals.len(), MEMBERS.len() + OPTIONAL_MEMBERS.len() + ENUMERATORS.len() + SIZES.len());
        assert!(btf.has_function("vfs_read"));
        assert_eq!(
            btf.offset("path", "dentry").unwrap(),
            Some(8),
            "`struct path` is two pointers on every 64-bit kernel"
        );
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let address = |symbols: &str, name| addresses(symbols.as_bytes(), &[name])[0];
        let symbols = "ffffffff82a1c0d8 D page_offset_base_of\nffffffff82a1c0d0 D page_offset_base\nffffffffc0000000 t f\t[module]\n";
        assert_eq!(address(symbols, "page_offset_base"), 0xffff_ffff_82a1_c0d0);
        assert_eq!(address(symbols, "offset_base"), 0);
        assert_eq!(address("0000000000000000 D page_offset_base\n", "page_offset_base"), 0);
    }
}
