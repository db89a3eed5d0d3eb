//! Programs as an ELF file that aya loads.

use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection},
};
use sensor_common::{
    event::{Attach, Hook, Mode},
    maps::{RECORDS, SLOTS, STAGES},
    record::Record,
};

use super::{
    asm::{MEMORY, TABLES},
    target::{PARTS_MAP, RECORD_MAP, Target},
};

const LICENSE: &[u8] = b"Dual MIT/GPL\0";
/// `BPF_MAP_TYPE_…`
const PROG_ARRAY: u32 = 3;
const ARRAY: u32 = 2;
const PERCPU_ARRAY: u32 = 6;
/// The loader finds the map in the directory of pins, where the sensor put it.
const PIN_BY_NAME: u32 = 1;
const R_BPF_64_64: object::elf::RelocationType = object::elf::RelocationType(1);

/// A map as the file declares it: `bpf_map_def` of libbpf, in the section `maps`.
struct Map {
    name: &'static str,
    kind: u32,
    value: usize,
    entries: u32,
    pinned: bool,
}

impl Map {
    /// The maps that programs of `hook` use.
    fn all(hook: Hook, target: Target, chained: u32) -> Vec<Self> {
        let record = size_of::<Record>();
        let mut maps = match target {
            Target::Hook(_) => vec![
                Self { name: RECORDS, kind: PERCPU_ARRAY, value: record, entries: SLOTS, pinned: true },
                Self { name: hook.stages(), kind: PROG_ARRAY, value: 4, entries: STAGES, pinned: true },
            ],
            Target::SocketFilter => {
                vec![Self { name: RECORD_MAP, kind: ARRAY, value: record, entries: 1, pinned: false }]
            }
        };
        if chained > 0 {
            maps.push(Self { name: PARTS_MAP, kind: PROG_ARRAY, value: 4, entries: chained, pinned: false });
        }
        maps
    }

    fn encoded(&self) -> Vec<u8> {
        let value = u32::try_from(self.value).unwrap_or(u32::MAX);
        let pinning = if self.pinned { PIN_BY_NAME } else { 0 };
        [self.kind, 4, value, self.entries, 0, 0, pinning].into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

/// The section by which loaders know what kind of program it holds.
fn section_name(hook: Hook, target: Target) -> String {
    match (target, hook.attach()) {
        (Target::SocketFilter, _) => "socket".to_owned(),
        (Target::Hook(Mode::Tracepoints), _) => "tracepoint/syscalls".to_owned(),
        (Target::Hook(Mode::Lsm), Attach::Lsm) => format!("lsm/{}", hook.name()),
        (Target::Hook(_), Attach::Fexit(_)) => format!("fexit/{}", hook.name()),
        (Target::Hook(_), _) => format!("fentry/{}", hook.name()),
    }
}

/// A program to be written.
pub struct Part<'a> {
    /// Its symbol.
    pub name: &'a str,
    /// Its instructions.
    pub bytes: &'a [u8],
    /// Which of them take the address of a map, and of which.
    pub maps: &'a [(usize, &'static str)],
    /// What it carries for its look-ups; may be empty.
    pub memory: &'a [u8],
    /// The tables of its conditions; may be empty.
    pub tables: &'a [u8],
}

/// Writes one file with `parts`, of which `chained` are reached from others of them.
pub fn write(hook: Hook, target: Target, parts: &[Part<'_>], chained: u32) -> Result<Vec<u8>, object::write::Error> {
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = elf.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    elf.append_section_data(license, LICENSE, 1);
    let definitions = elf.add_section(Vec::new(), b"maps".to_vec(), SectionKind::Data);
    let mut symbols = Vec::new();
    for map in Map::all(hook, target, chained) {
        let data = map.encoded();
        let at = elf.append_section_data(definitions, &data, 4);
        symbols.push((map.name, symbol(&mut elf, map.name, definitions, at, data.len(), SymbolKind::Data)));
    }
    let code = elf.add_section(Vec::new(), section_name(hook, target).into_bytes(), SectionKind::Text);
    for (number, Part { name, bytes, maps, memory, tables }) in parts.iter().enumerate() {
        let start = elf.append_section_data(code, bytes, 8);
        let mut carried =
            |kind, bytes: &[u8]| (!bytes.is_empty()).then(|| self::carried(&mut elf, kind, number, bytes));
        let (memory, tables) = (carried("", memory), carried("t", tables));
        symbol(&mut elf, name, code, start, bytes.len(), SymbolKind::Text);
        for (instruction, map) in *maps {
            let declared = || symbols.iter().find(|(name, _)| name == map).map(|(_, symbol)| *symbol);
            let symbol = match *map {
                MEMORY => memory,
                TABLES => tables,
                _ => declared(),
            };
            let Some(symbol) = symbol else { continue };
            let flags = object::write::RelocationFlags::Elf { r_type: R_BPF_64_64 };
            let offset = start + 8 * *instruction as u64;
            elf.add_relocation(code, Relocation { offset, symbol, addend: 0, flags })?;
        }
    }
    elf.write()
}

/// What a program carries, in a section that loaders make a map of. Not among the read-only data: their
/// content is known to the verifier, which would then follow one way through the look-ups, and later another,
/// and another.
fn carried(elf: &mut Object<'_>, kind: &str, number: usize, bytes: &[u8]) -> SymbolId {
    let section = elf.add_section(Vec::new(), format!(".data.{kind}{number}").into_bytes(), SectionKind::Data);
    let at = elf.append_section_data(section, bytes, 32);
    symbol(elf, &format!("carried_{kind}{number}"), section, at, bytes.len(), SymbolKind::Data)
}

fn symbol(elf: &mut Object<'_>, name: &str, section: SectionId, at: u64, size: usize, kind: SymbolKind) -> SymbolId {
    elf.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value: at,
        size: size as u64,
        kind,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    })
}
