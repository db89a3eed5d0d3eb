//! Signals that would end the daemon and are not meant to.

/// What the kernel, or a mistaken hand, sends: none of it says that the sensor is to end.
const ENDURED: &[libc::c_int] = &[
    // Until the daemon has started, which reads everything; then it means to read it anew.
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    // A file that is as long as a file may become: the write fails, and is counted.
    libc::SIGXFSZ,
];

/// Ignores them. To be called first.
pub fn endure() {
    for signal in ENDURED {
        // SAFETY: no handler is set, and the numbers are of signals that can be ignored.
        unsafe { libc::signal(*signal, libc::SIG_IGN) };
    }
}
