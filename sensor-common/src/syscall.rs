//! The system calls at whose exit events are seen in [`Mode::Tracepoints`](crate::hook::Mode::Tracepoints).

/// Declares [`Syscall`] from the names and numbers of `arch/x86/entry/syscalls/syscall_64.tbl` of the kernel.
/// The name is that of the function `sys_…`, which its tracepoints have too.
macro_rules! syscalls {
    ($($syscall:ident: $name:literal, $number:literal;)+) => {
        /// A system call. The discriminant is its number on x86-64.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Syscall { $(#[doc = concat!("`", $name, "`")] $syscall = $number,)+ }

        impl Syscall {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$syscall,)+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$syscall => $name,)+ }
            }

            /// The name of the tracepoint at its exit, in the category `syscalls`.
            pub const fn tracepoint(self) -> &'static str {
                match self { $(Self::$syscall => concat!("sys_exit_", $name),)+ }
            }
        }
    };
}

syscalls! {
    Read: "read", 0;
    Write: "write", 1;
    Open: "open", 2;
    Readv: "readv", 19;
    Writev: "writev", 20;
    Pipe: "pipe", 22;
    Sendfile: "sendfile64", 40;
    Connect: "connect", 42;
    Accept: "accept", 43;
    Sendto: "sendto", 44;
    Recvfrom: "recvfrom", 45;
    Sendmsg: "sendmsg", 46;
    Recvmsg: "recvmsg", 47;
    Bind: "bind", 49;
    Listen: "listen", 50;
    Socketpair: "socketpair", 53;
    Creat: "creat", 85;
    Mknod: "mknod", 133;
    MqOpen: "mq_open", 240;
    Openat: "openat", 257;
    Mknodat: "mknodat", 259;
    Splice: "splice", 275;
    Tee: "tee", 276;
    Vmsplice: "vmsplice", 278;
    Accept4: "accept4", 288;
    Pipe2: "pipe2", 293;
    Recvmmsg: "recvmmsg", 299;
    OpenByHandleAt: "open_by_handle_at", 304;
    Sendmmsg: "sendmmsg", 307;
    Preadv2: "preadv2", 327;
    Pwritev2: "pwritev2", 328;
    Openat2: "openat2", 437;
    PidfdGetfd: "pidfd_getfd", 438;
}
