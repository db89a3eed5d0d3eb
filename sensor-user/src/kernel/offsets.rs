//! The read-only globals of the kernel side: offsets and enumerators of the running kernel, by name.

use anyhow::Result;
use sensor_common::{kernel::ABSENT, kernel_enumerators, kernel_members};

use super::btf::Btf;

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

/// Resolves all globals.
///
/// # Errors
/// The first member that this kernel does not have, or has ambiguously, by its name.
pub fn resolve(btf: &Btf) -> Result<Vec<Global>> {
    let members = MEMBERS.iter().map(|(global, name, members)| Ok((*global, offset(btf, name, members)?)));
    let enumerators = ENUMERATORS
        .iter()
        .map(|(global, name, enumerator)| Ok((*global, btf.enumerator(name, enumerator)?.unwrap_or(ABSENT))));
    let globals = members.chain(enumerators).collect::<Result<Vec<_>>>()?;
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
        assert_eq!(globals.len(), MEMBERS.len() + ENUMERATORS.len());
        assert!(btf.has_function("vfs_read"));
        assert_eq!(
            btf.offset("path", "dentry").unwrap(),
            Some(8),
            "`struct path` is two pointers on every 64-bit kernel"
        );
    }
}
