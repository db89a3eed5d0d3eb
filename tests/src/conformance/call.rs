//! System calls, each by its own name: what the sensor must see is the call, so no library stands between.

use std::{
    ffi::c_void,
    io::{self, IoSlice},
};

use anyhow::{Result, anyhow};

/// Makes the call and returns its result; an error says which call it was.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: what is passed are numbers, and pointers to memory of the caller that outlives the call and
        // is as long as the call is told; where it is written to, the caller gave it away mutably.
        let result = unsafe { libc::$function($($argument),*) };
        $crate::conformance::call::answer(stringify!($function), result)
    }};
}

/// The same, of a call that the library has no function for: `syscall!(SYS_…, …)`.
macro_rules! syscall {
    ($number:ident $(, $argument:expr)* $(,)?) => {{
        // SAFETY: as in `call`.
        let result = unsafe { libc::syscall(libc::$number $(, $argument)*) };
        $crate::conformance::call::answer(stringify!($number), result)
    }};
}

pub(crate) use {call, syscall};

/// What a call returned, or why it failed.
pub fn answer<T: TryInto<i64>>(name: &str, result: T) -> Result<i64> {
    match result.try_into() {
        Ok(-1) => Err(anyhow!("{name}: {}", io::Error::last_os_error())),
        Ok(value) => Ok(value),
        Err(_) => Err(anyhow!("{name} returned what is no number")),
    }
}

/// One segment: the kernel takes an `IoSlice` for an `iovec`.
pub fn segments<'a>(parts: &[&'a [u8]]) -> Vec<IoSlice<'a>> {
    parts.iter().map(|part| IoSlice::new(part)).collect()
}

/// Room for what is read, and a pointer to it.
pub struct Room(Vec<u8>);

impl Room {
    /// For this many bytes.
    pub fn new(length: usize) -> Self {
        Self(vec![0; length])
    }

    /// Where it begins.
    pub fn start(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }

    /// As one segment.
    pub fn segment(&mut self) -> libc::iovec {
        libc::iovec { iov_base: self.start(), iov_len: self.0.len() }
    }
}
