//! POSIX shared memory: memory with a descriptor, made, sealed and mapped. It is opened as files are: see
//! [`fifo`](crate::fifo).

use sensor_common::{
    event::{Event, Groups},
    record::TEXT_MAX,
};

use crate::{
    hook::{Context, fentry_hook, lsm_hook},
    kernel::{Ptr, Struct, probe},
    memory::Memory,
    object::{File, Type},
    record::Held,
    scratch::Wanted,
    subject::{Seen, Subject},
    text,
};

/// `memfd:`, the first bytes of it.
const PREFIX: u32 = u32::from_ne_bytes(*b"memf");
/// Length of it.
const PREFIX_LENGTH: usize = 6;
const F_ADD_SEALS: u32 = 1033;
const MAP_TYPE: u64 = 0x0f;
const MAP_SHARED: u64 = 1;
const MAP_SHARED_VALIDATE: u64 = 3;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;

/// Memory that is being created, by its name.
struct Creation(Ptr);

impl Creation {
    /// The kernel makes other files in this way too; those of `memfd_create` are named `memfd:…`.
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let name: Ptr = ctx.arg(0);
        (probe::<u32>(name)? == PREFIX).then_some((Event::ShmCreate, Self(name.wrapping_add(PREFIX_LENGTH))))
    }
}

impl Subject for Creation {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        if wanted.contains(Groups::PATH) {
            text::keep_string(&mut held.record.object.path, held.scratch, Memory::Kernel, self.0, TEXT_MAX);
        }
    }
}

fentry_hook! {
    /// `struct file *shmem_file_setup(const char *name, loff_t size, unsigned long flags)`
    shmem_file_setup, Creation::seen
}

/// Seals on their way to memory.
struct Sealing {
    file: File,
    seals: u64,
}

impl Sealing {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let (command, seals): (u32, u64) = (ctx.arg(1), ctx.arg(2));
        if command != F_ADD_SEALS {
            return None;
        }
        let (file, kind) = File::any(Struct::typed(ctx.arg(0)))?;
        (kind == Type::Memory && file.is_shared_memory()).then_some((Event::ShmSeal, Self { file, seals }))
    }
}

impl Subject for Sealing {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.file.fill(held, wanted);
        if wanted.contains(Groups::SEALS) {
            held.record.object.seals = self.seals as u32;
        }
    }
}

lsm_hook! {
    /// `int file_fcntl(struct file *file, unsigned int cmd, unsigned long arg)`
    file_fcntl, Sealing::seen
}

/// Memory that is being mapped.
struct Mapping {
    file: File,
    protection: u64,
}

impl Mapping {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        Self::new(ctx.arg(0), ctx.arg(2), ctx.arg(3))
    }

    /// `int security_mmap_file(struct file *file, unsigned long prot, unsigned long flags)`
    #[inline(always)]
    fn observed<C: Context>(ctx: &C) -> Seen<Self> {
        Self::new(ctx.arg(0), ctx.arg(1), ctx.arg(2))
    }

    /// Without a file the memory is nobody else's, or its parent's: no object that a rule could name.
    #[inline(always)]
    fn new(file: Ptr, protection: u64, flags: u64) -> Seen<Self> {
        if !matches!(flags & MAP_TYPE, MAP_SHARED | MAP_SHARED_VALIDATE) || file.is_null() {
            return None;
        }
        let (file, kind) = File::any(Struct::typed(file))?;
        (kind == Type::Memory && file.is_shared_memory()).then_some((Event::ShmMap, Self { file, protection }))
    }
}

impl Subject for Mapping {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.file.fill(held, wanted);
        if wanted.contains(Groups::MAP) {
            let object = &mut held.record.object;
            object.executable = u32::from(self.protection & PROT_EXEC != 0);
            object.writable = u32::from(self.protection & PROT_WRITE != 0);
        }
    }
}

lsm_hook! {
    /// `int mmap_file(struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags)`;
    /// without a file for memory that has none
    mmap_file, Mapping::seen, Mapping::observed
}
