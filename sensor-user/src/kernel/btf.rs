//! The running kernel's type information: where the members of its structs lie.
//!
//! Format: `Documentation/bpf/btf.rst` of the kernel. Only what the sensor asks for is kept. Unknown parts of the
//! header are skipped by its own length, so kernels that grow it are understood.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

/// Where kernels since 5.4 show their BTF.
pub const PATH: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;

mod kind {
    pub const INT: u32 = 1;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FORWARD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// One type: its header's three words, and where its own data begins.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    info: u32,
    /// Size in bytes or id of the type it refers to.
    size_or_target: u32,
    data: usize,
}

impl Type {
    fn kind(self) -> u32 {
        (self.info >> 24) & 0x1f
    }

    fn length(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Whether members give the width of bit fields in the upper 8 bits of their offset.
    fn has_bit_fields(self) -> bool {
        self.info >> 31 == 1
    }

    /// Bytes of data behind the header.
    fn data_size(self) -> Option<usize> {
        Some(match self.kind() {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * self.length(),
            kind::ENUM | kind::FUNC_PROTO => 8 * self.length(),
            2 | kind::FORWARD..=kind::FUNC | 16 | kind::TYPE_TAG => 0,
            _ => return None,
        })
    }
}

/// Type information of one kernel.
pub struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    /// Index is the type id; 0 is `void`.
    types: Vec<Type>,
    /// Ids by name, of structs, enums and functions.
    names: HashMap<Vec<u8>, Vec<u32>>,
}

impl Btf {
    /// Reads the running kernel's BTF.
    ///
    /// # Errors
    /// The kernel shows none, or something that is no BTF.
    pub fn of_this_kernel() -> Result<Self> {
        Self::read(Path::new(PATH))
    }

    /// Reads BTF from a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no BTF.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            fs::read(path).with_context(|| format!("cannot read the kernel's type information, {}", path.display()))?;
        Self::parse(bytes).with_context(|| format!("cannot understand {}", path.display()))
    }

    /// Understands BTF.
    ///
    /// # Errors
    /// It is cut, has another byte order, or holds a kind of type that is not known.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        ensure!(u16_at(&bytes, 0)? == MAGIC, "no BTF of this machine's byte order: the magic number is wrong");
        let header = u32_at(&bytes, 4)? as usize;
        let types_at = header + u32_at(&bytes, 8)? as usize;
        let types_end = types_at + u32_at(&bytes, 12)? as usize;
        let strings = header + u32_at(&bytes, 16)? as usize;
        let mut btf = Self {
            bytes,
            strings,
            types: vec![Type { name: 0, info: 0, size_or_target: 0, data: 0 }],
            names: HashMap::new(),
        };
        let mut at = types_at;
        while at < types_end {
            let ty = Type {
                name: u32_at(&btf.bytes, at)?,
                info: u32_at(&btf.bytes, at + 4)?,
                size_or_target: u32_at(&btf.bytes, at + 8)?,
                data: at + 12,
            };
            let Some(size) = ty.data_size() else {
                bail!("type {} is of the unknown kind {}", btf.types.len(), ty.kind())
            };
            if matches!(ty.kind(), kind::STRUCT | kind::ENUM | kind::ENUM64 | kind::FUNC) {
                let id = u32::try_from(btf.types.len())?;
                let name = btf.string(ty.name)?.to_vec();
                btf.names.entry(name).or_default().push(id);
            }
            btf.types.push(ty);
            at = ty.data + size;
        }
        Ok(btf)
    }

    /// Whether the kernel has a function of this name. That it is here does not mean that it can be attached to.
    pub fn has_function(&self, name: &str) -> bool {
        self.named(name).any(|ty| ty.kind() == kind::FUNC)
    }

    /// The name of the function with this id.
    pub fn function(&self, id: u32) -> Option<&str> {
        let ty = self.types.get(id as usize).filter(|ty| ty.kind() == kind::FUNC)?;
        std::str::from_utf8(self.string(ty.name).ok()?).ok()
    }

    /// The id of the function of this name.
    pub fn function_id(&self, name: &str) -> Option<u32> {
        let ids = self.names.get(name.as_bytes())?;
        ids.iter().copied().find(|id| self.types.get(*id as usize).is_some_and(|ty| ty.kind() == kind::FUNC))
    }

    /// The first of these names that a function of the kernel has.
    pub fn first_function<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| self.has_function(name))
    }

    /// Offset in bytes of a member such as `f_path.dentry` of `struct name`; members of unnamed structs and unions
    /// count as the outer one's. `None` where the struct has no such member.
    ///
    /// # Errors
    /// No struct of this name; several that disagree; a bit field.
    pub fn offset(&self, name: &str, member: &str) -> Result<Option<u32>> {
        let mut found: Option<Option<u32>> = None;
        for ty in self.named(name).filter(|ty| ty.kind() == kind::STRUCT) {
            let bits = self.bits(ty, member)?;
            let offset = match bits {
                Some(bits) if bits % 8 != 0 => bail!("`{member}` of `struct {name}` is a bit field"),
                bits => bits.map(|bits| bits / 8),
            };
            ensure!(
                found.is_none_or(|other| other == offset),
                "this kernel has several `struct {name}` that disagree about `{member}`"
            );
            found = Some(offset);
        }
        found.with_context(|| format!("this kernel's type information has no `struct {name}`"))
    }

    /// Size in bytes of `struct name`.
    ///
    /// # Errors
    /// No struct of this name; several that disagree.
    pub fn size(&self, name: &str) -> Result<u32> {
        let mut sizes = self.named(name).filter(|ty| ty.kind() == kind::STRUCT).map(|ty| ty.size_or_target);
        let size = sizes.next().with_context(|| format!("this kernel's type information has no `struct {name}`"))?;
        ensure!(sizes.all(|other| other == size), "this kernel has several `struct {name}` of different sizes");
        Ok(size)
    }

    /// Value of an enumerator of `enum name`; `None` where it has no such enumerator.
    ///
    /// # Errors
    /// The BTF is cut.
    pub fn enumerator(&self, name: &str, enumerator: &str) -> Result<Option<u32>> {
        for ty in self.named(name).filter(|ty| ty.kind() == kind::ENUM) {
            for index in 0..ty.length() {
                let at = ty.data + 8 * index;
                if self.string(u32_at(&self.bytes, at)?)? == enumerator.as_bytes() {
                    return Ok(Some(u32_at(&self.bytes, at + 4)?));
                }
            }
        }
        Ok(None)
    }

    /// BTF with nothing but the functions that are `wanted`, each under the id that it has here. A kernel has
    /// some hundred thousand types, and a loader that is given all of them keeps them all in memory.
    ///
    /// # Errors
    /// The BTF is cut.
    pub fn only_functions(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
        // What stands between the functions: a declaration without a name.
        const NOTHING: [u32; 3] = [0, kind::FORWARD << 24, 0];
        let mut found: Vec<(usize, &str)> = Vec::new();
        for (id, ty) in self.types.iter().enumerate().filter(|(_, ty)| ty.kind() == kind::FUNC) {
            if let Ok(name) = std::str::from_utf8(self.string(ty.name)?)
                && wanted(name)
            {
                found.push((id, name));
            }
        }
        let mut types = vec![NOTHING; found.last().map_or(0, |(id, _)| *id)];
        let mut strings = vec![0];
        for (id, name) in found {
            // Ids begin with 1.
            types[id - 1] = [u32::try_from(strings.len())?, kind::FUNC << 24, 0];
            strings.extend(name.bytes().chain([0]));
        }
        let (types_size, strings_size) = (u32::try_from(12 * types.len())?, u32::try_from(strings.len())?);
        let header = [24, 0, types_size, types_size, strings_size];
        let words = header.into_iter().chain(types.into_iter().flatten()).flat_map(u32::to_ne_bytes);
        Ok(MAGIC.to_ne_bytes().into_iter().chain([1, 0]).chain(words).chain(strings).collect())
    }

    fn named(&self, name: &str) -> impl Iterator<Item = Type> {
        let ids = self.names.get(name.as_bytes()).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.types.get(*id as usize).copied())
    }

    /// Offset in bits of a dotted member path in a struct or union.
    fn bits(&self, ty: Type, path: &str) -> Result<Option<u32>> {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        for index in 0..ty.length() {
            let at = ty.data + 12 * index;
            let (name, id, offset) =
                (u32_at(&self.bytes, at)?, u32_at(&self.bytes, at + 4)?, u32_at(&self.bytes, at + 8)?);
            let offset = if ty.has_bit_fields() { offset & 0x00ff_ffff } else { offset };
            let name = self.string(name)?;
            let inner = if name.is_empty() {
                self.composite(id).map(|inner| self.bits(inner, path))
            } else if name == head.as_bytes() {
                match rest {
                    None => return Ok(Some(offset)),
                    Some(rest) => self.composite(id).map(|inner| self.bits(inner, rest)),
                }
            } else {
                None
            };
            if let Some(bits) = inner.transpose()?.flatten() {
                return Ok(Some(offset + bits));
            }
        }
        Ok(None)
    }

    /// The struct or union behind qualifiers and typedefs.
    fn composite(&self, mut id: u32) -> Option<Type> {
        loop {
            let ty = *self.types.get(id as usize)?;
            match ty.kind() {
                kind::STRUCT | kind::UNION => return Some(ty),
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = ty.size_or_target;
                }
                _ => return None,
            }
        }
    }

    fn string(&self, offset: u32) -> Result<&[u8]> {
        let from = self.bytes.get(self.strings + offset as usize..).context("the strings are cut")?;
        let length = from.iter().position(|byte| *byte == 0).context("a string does not end")?;
        Ok(&from[..length])
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).context("it is cut")?;
    Ok(u32::from_ne_bytes(word.try_into()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let word = bytes.get(at..at + 2).context("it is cut")?;
    Ok(u16::from_ne_bytes(word.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct a { int x; struct { int y; }; const b z; }` with `struct b { int w; int v; }`, and an enum.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0a\0x\0y\0z\0b\0w\0v\0e\0ONE\0TWO\0";
        let name = |text: &str| {
            let needle = format!("\0{text}\0");
            u32::try_from(strings.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap() + 1)
                .unwrap()
        };
        let types: Vec<u32> = [
            vec![name("int"), kind::INT << 24, 4, 32],           // 1
            vec![0, kind::STRUCT << 24 | 1, 4, name("y"), 1, 0], // 2
            vec![name("b"), kind::STRUCT << 24 | 2, 8, name("w"), 1, 0, name("v"), 1, 32], // 3
            vec![0, kind::CONST << 24, 3],                       // 4
            vec![name("a"), kind::STRUCT << 24 | 3, 16, name("x"), 1, 0, 0, 2, 32, name("z"), 4, 64], // 5
            vec![name("e"), kind::ENUM << 24 | 2, 4, name("ONE"), 1, name("TWO"), 2], // 6
            vec![name("a"), kind::FUNC << 24, 0],                // 7
            vec![name("w"), kind::FUNC << 24, 0],                // 8
            vec![name("v"), kind::FUNC << 24, 0],                // 9
        ]
        .concat();
        let header_size = 32; // longer than today's 24: kernels grow it
        let types_size = u32::try_from(types.len() * 4).unwrap();
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]);
        for word in [header_size, 0, types_size, types_size, u32::try_from(strings.len()).unwrap(), 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn finds_members_also_in_unnamed_and_qualified_structs() {
        let btf = Btf::parse(sample()).unwrap();
        assert_eq!(btf.offset("a", "x").unwrap(), Some(0));
        assert_eq!(btf.offset("a", "y").unwrap(), Some(4));
        assert_eq!(btf.offset("a", "z.v").unwrap(), Some(12));
        assert_eq!(btf.offset("a", "nothing").unwrap(), None);
        assert!(btf.offset("nothing", "x").is_err());
        assert_eq!(btf.enumerator("e", "TWO").unwrap(), Some(2));
        assert_eq!(btf.enumerator("e", "THREE").unwrap(), None);
    }

    #[test]
    fn functions_keep_their_ids_and_nothing_else_is_kept() {
        let all = Btf::parse(sample()).unwrap();
        let few = all.only_functions(|name| ["a", "w", "e"].contains(&name)).unwrap();
        assert!(aya::Btf::parse(&few, aya::Endianness::default()).is_ok());
        let read = Btf::parse(few).unwrap();
        let mut ids: Vec<_> = read.names.iter().collect();
        ids.sort_unstable();
        assert_eq!(ids, [(&b"a"[..].to_vec(), &vec![7]), (&b"w"[..].to_vec(), &vec![8])]);
        assert!(read.offset("a", "x").is_err());
        assert!(Btf::parse(all.only_functions(|_| false).unwrap()).unwrap().names.is_empty());
    }

    #[test]
    fn cut_input_is_an_error_at_every_length() {
        let sample = sample();
        for length in 0..sample.len() {
            let parsed = Btf::parse(sample[..length].to_vec());
            // A cut in the strings may leave the types readable; asking must still not panic.
            if let Ok(btf) = parsed {
                drop(btf.offset("a", "z.v"));
            }
        }
    }
}
