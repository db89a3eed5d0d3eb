//! Names for values of integer fields, as C headers have them.

/// The constants of one kind, with their values.
#[derive(Debug, PartialEq, Eq)]
pub struct Constants {
    /// Whether a value is made of several of them, one bit each; else it is one of them.
    pub bits: bool,
    /// Name and value of each.
    pub values: &'static [(&'static str, i64)],
}

impl Constants {
    /// The value of the constant `name`, where it is one of these.
    pub fn value(&self, name: &str) -> Option<i64> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Type and permission bits of files and System V objects: `stat.h`. The type is several bits together.
pub const MODE: &Constants = &Constants {
    bits: true,
    values: &[
        ("S_IFMT", 0o170_000),
        ("S_IFIFO", 0o010_000),
        ("S_ISUID", 0o4000),
        ("S_ISGID", 0o2000),
        ("S_ISVTX", 0o1000),
        ("S_IRWXU", 0o700),
        ("S_IRUSR", 0o400),
        ("S_IWUSR", 0o200),
        ("S_IXUSR", 0o100),
        ("S_IRWXG", 0o070),
        ("S_IRGRP", 0o040),
        ("S_IWGRP", 0o020),
        ("S_IXGRP", 0o010),
        ("S_IRWXO", 0o007),
        ("S_IROTH", 0o004),
        ("S_IWOTH", 0o002),
        ("S_IXOTH", 0o001),
    ],
};

/// Types of sockets: `linux/net.h`.
pub const SOCKETS: &Constants =
    &Constants { bits: false, values: &[("SOCK_STREAM", 1), ("SOCK_DGRAM", 2), ("SOCK_SEQPACKET", 5)] };

/// Seals of memory: `linux/fcntl.h`.
pub const SEALS: &Constants = &Constants {
    bits: true,
    values: &[
        ("F_SEAL_SEAL", 0x01),
        ("F_SEAL_SHRINK", 0x02),
        ("F_SEAL_GROW", 0x04),
        ("F_SEAL_WRITE", 0x08),
        ("F_SEAL_FUTURE_WRITE", 0x10),
        ("F_SEAL_EXEC", 0x20),
    ],
};

/// Signals: `asm/signal.h` of x86-64.
pub const SIGNALS: &Constants = &Constants {
    bits: false,
    values: &[
        ("SIGHUP", 1),
        ("SIGINT", 2),
        ("SIGQUIT", 3),
        ("SIGILL", 4),
        ("SIGTRAP", 5),
        ("SIGABRT", 6),
        ("SIGBUS", 7),
        ("SIGFPE", 8),
        ("SIGKILL", 9),
        ("SIGUSR1", 10),
        ("SIGSEGV", 11),
        ("SIGUSR2", 12),
        ("SIGPIPE", 13),
        ("SIGALRM", 14),
        ("SIGTERM", 15),
        ("SIGSTKFLT", 16),
        ("SIGCHLD", 17),
        ("SIGCONT", 18),
        ("SIGSTOP", 19),
        ("SIGTSTP", 20),
        ("SIGTTIN", 21),
        ("SIGTTOU", 22),
        ("SIGURG", 23),
        ("SIGXCPU", 24),
        ("SIGXFSZ", 25),
        ("SIGVTALRM", 26),
        ("SIGPROF", 27),
        ("SIGWINCH", 28),
        ("SIGIO", 29),
        ("SIGPWR", 30),
        ("SIGSYS", 31),
    ],
};

/// Capabilities, as bits: `linux/capability.h`.
pub const CAPABILITIES: &Constants = &Constants {
    bits: true,
    values: &[
        ("CAP_CHOWN", 1),
        ("CAP_DAC_OVERRIDE", 1 << 1),
        ("CAP_DAC_READ_SEARCH", 1 << 2),
        ("CAP_FOWNER", 1 << 3),
        ("CAP_FSETID", 1 << 4),
        ("CAP_KILL", 1 << 5),
        ("CAP_SETGID", 1 << 6),
        ("CAP_SETUID", 1 << 7),
        ("CAP_SETPCAP", 1 << 8),
        ("CAP_LINUX_IMMUTABLE", 1 << 9),
        ("CAP_NET_BIND_SERVICE", 1 << 10),
        ("CAP_NET_BROADCAST", 1 << 11),
        ("CAP_NET_ADMIN", 1 << 12),
        ("CAP_NET_RAW", 1 << 13),
        ("CAP_IPC_LOCK", 1 << 14),
        ("CAP_IPC_OWNER", 1 << 15),
        ("CAP_SYS_MODULE", 1 << 16),
        ("CAP_SYS_RAWIO", 1 << 17),
        ("CAP_SYS_CHROOT", 1 << 18),
        ("CAP_SYS_PTRACE", 1 << 19),
        ("CAP_SYS_PACCT", 1 << 20),
        ("CAP_SYS_ADMIN", 1 << 21),
        ("CAP_SYS_BOOT", 1 << 22),
        ("CAP_SYS_NICE", 1 << 23),
        ("CAP_SYS_RESOURCE", 1 << 24),
        ("CAP_SYS_TIME", 1 << 25),
        ("CAP_SYS_TTY_CONFIG", 1 << 26),
        ("CAP_MKNOD", 1 << 27),
        ("CAP_LEASE", 1 << 28),
        ("CAP_AUDIT_WRITE", 1 << 29),
        ("CAP_AUDIT_CONTROL", 1 << 30),
        ("CAP_SETFCAP", 1 << 31),
        ("CAP_MAC_OVERRIDE", 1 << 32),
        ("CAP_MAC_ADMIN", 1 << 33),
        ("CAP_SYSLOG", 1 << 34),
        ("CAP_WAKE_ALARM", 1 << 35),
        ("CAP_BLOCK_SUSPEND", 1 << 36),
        ("CAP_AUDIT_READ", 1 << 37),
        ("CAP_PERFMON", 1 << 38),
        ("CAP_BPF", 1 << 39),
        ("CAP_CHECKPOINT_RESTORE", 1 << 40),
    ],
};
