//! The kernel's entry for 32-bit programs, which 64-bit programs can use too: `int 0x80`, with 32-bit addresses.

use std::{arch::asm, cell::Cell, io};

use anyhow::{Result, ensure};

use super::super::child::Child;

/// Bytes of memory below 4 GiB.
const SIZE: usize = 1 << 18;

/// Memory at addresses of 32 bits, given out piece by piece and never taken back.
pub struct Low {
    start: u32,
    used: Cell<u32>,
}

impl Low {
    /// Maps it.
    pub fn new() -> Result<Self> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
        // SAFETY: a new map, where the kernel likes.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, protection, flags, -1, 0) };
        ensure!(start != libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
        Ok(Self { start: u32::try_from(start as usize)?, used: Cell::new(0) })
    }

    /// The address of a copy of these bytes.
    pub fn bytes(&self, bytes: &[u8]) -> u32 {
        let at = self.used.get();
        let end = at as usize + bytes.len();
        assert!(end <= SIZE, "no low memory is left");
        let address = self.start + at;
        // SAFETY: this piece of the map is nobody else's yet, and large enough.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as usize as *mut u8, bytes.len()) };
        // The next one on a multiple of 16.
        self.used.set(u32::try_from(end.next_multiple_of(16)).unwrap_or(u32::MAX));
        address
    }

    /// The address of these words in a row.
    pub fn words(&self, words: &[u32]) -> u32 {
        self.bytes(&words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>())
    }

    /// The address of so many bytes.
    pub fn room(&self, length: usize) -> u32 {
        self.bytes(&vec![0; length])
    }

    /// The address of a text, with its NUL.
    pub fn text(&self, text: &std::ffi::CStr) -> u32 {
        self.bytes(text.to_bytes_with_nul())
    }
}

/// Makes system call `number` of the 32-bit table (`arch/x86/entry/syscalls/syscall_32.tbl`); what it
/// returned, or why it failed.
///
/// Addresses among the arguments are of [`Low`], or 0.
pub fn call(name: &str, number: u32, arguments: &[u32]) -> Result<u32> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    let mut result = number;
    // SAFETY: the kernel writes only to memory that the arguments name, which is nobody else's. `rbx` and `rbp` are the
    // compiler's, and are put back; kernels clear `r8` to `r11`.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov ebx, r12d",
            "mov ebp, r13d",
            "int 0x80",
            "pop rbp",
            "pop rbx",
            inout("eax") result,
            in("r12") u64::from(argument(0)),
            in("ecx") argument(1),
            in("edx") argument(2),
            in("esi") argument(3),
            in("edi") argument(4),
            in("r13") u64::from(argument(5)),
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
    let error = result.cast_signed();
    ensure!(!(-4095..0).contains(&error), "{name}: {}", io::Error::from_raw_os_error(-error));
    Ok(result)
}

/// Whether the kernel has the entry: built with `CONFIG_IA32_EMULATION`, and not switched off (`ia32_emulation=0`).
pub fn is_there() -> Result<bool> {
    const GETPID: u32 = 20;
    // Where it is not, the process dies of a fault.
    let child = Child::fork(|| Ok(i32::from(call("getpid", GETPID, &[])? != std::process::id())))?;
    let status = child.run()?;
    ensure!(status == 0 || libc::WIFSIGNALED(status), "a 32-bit getpid ended with wait status {status:#x}");
    Ok(status == 0)
}

/// One segment as 32-bit programs describe it.
pub fn segments(low: &Low, parts: &[&[u8]]) -> u32 {
    let words: Vec<u32> =
        parts.iter().flat_map(|part| [low.bytes(part), u32::try_from(part.len()).unwrap_or(0)]).collect();
    low.words(&words)
}

/// A number as an argument.
pub fn word(number: i32) -> u32 {
    number.cast_unsigned()
}
