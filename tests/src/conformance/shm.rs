//! Memory with a descriptor: made, opened, sealed, mapped.

use std::{ffi::CString, os::fd::RawFd, path::Path, ptr};

use anyhow::Result;
use sensor_common::event::Event::{ShmCreate, ShmMap, ShmOpen, ShmSeal};
use serde_json::json;

use super::{
    call::{call, syscall},
    fifo, gaps,
    known::{self, UNKNOWN, Values, values},
    plan::{Plan, seen},
    setting::EFFECTIVE_USER,
};

const PAGE: usize = 4096;
const SHARED: &str = "/dev/shm/conformance";
/// Huge pages of 2 MiB, so that no size is asked of the kernel's default.
const HUGE: u32 = libc::MFD_HUGETLB | libc::MFD_HUGE_2MB;

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    for (what, flags) in [("memfd_create", 0), ("memfd_create(MFD_ALLOW_SEALING)", libc::MFD_ALLOW_SEALING)] {
        plan.step(what, vec![seen(ShmCreate, &values([("path", json!("a known name"))]))], move || {
            call!(memfd_create(c"a known name".as_ptr(), flags)).map(drop)
        });
    }
    plan.gap(&gaps::HUGE_MEMFD, vec![], || call!(memfd_create(c"huge".as_ptr(), HUGE)).map(drop));
    if plan.kernel >= (6, 5) {
        plan.gap(&gaps::SECRET, vec![], || syscall!(SYS_memfd_secret, 0).map(drop));
    }
    let memory = i32::try_from(call!(memfd_create(c"sealed".as_ptr(), libc::MFD_ALLOW_SEALING))?)?;
    call!(ftruncate(memory, i64::try_from(PAGE)?))?;
    let mut known = known::open(memory)?;
    known.insert("path".to_owned(), json!("/memfd:sealed"));
    maps(plan, memory, &known)?;
    reopened(plan, memory, &known)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    plan.step("fcntl(F_ADD_SEALS)", vec![seen(ShmSeal, &known).with("seals", seals)], move || {
        call!(fcntl(memory, libc::F_ADD_SEALS, seals)).map(drop)
    });
    named(plan)
}

fn maps(plan: &mut Plan, fd: RawFd, known: &Values) -> Result<()> {
    let (read, write, exec) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
    for (what, protection, flags) in [
        ("mmap(MAP_SHARED) for reading", read, libc::MAP_SHARED),
        ("mmap(MAP_SHARED) for writing", read | write, libc::MAP_SHARED),
        ("mmap(MAP_SHARED_VALIDATE), executable", read | exec, libc::MAP_SHARED_VALIDATE),
    ] {
        let how = values([("writable", json!(protection & write != 0)), ("executable", json!(protection & exec != 0))]);
        plan.step(what, vec![seen(ShmMap, &known::all([known, &how]))], move || map(protection, flags, fd).map(drop));
    }
    let mapped = map(read, libc::MAP_SHARED, fd)?;
    plan.gap(&gaps::MPROTECT, vec![], move || syscall!(SYS_mprotect, mapped, PAGE, read | exec).map(drop));
    plan.gap(&gaps::ANONYMOUS, vec![], move || map(read, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1).map(drop));
    Ok(())
}

/// The raw call: the library's result is a pointer.
fn map(protection: i32, flags: i32, fd: RawFd) -> Result<i64> {
    syscall!(SYS_mmap, ptr::null::<u8>(), PAGE, protection, flags, fd, 0_i64)
}

fn reopened(plan: &mut Plan, fd: RawFd, known: &Values) -> Result<()> {
    let name = CString::new(format!("/proc/self/fd/{fd}"))?;
    let opened = known::all([known, &known::opening(libc::O_RDONLY)]);
    plan.step("open of a memfd through /proc/PID/fd/N", vec![seen(ShmOpen, &opened)], move || {
        call!(open(name.as_ptr(), libc::O_RDONLY)).map(drop)
    });
    Ok(())
}

/// Memory that has a name below `/dev/shm`.
fn named(plan: &mut Plan) -> Result<()> {
    let path = Path::new(SHARED);
    let mode = 0o640;
    let fd = i32::try_from(call!(open(fifo::path(path)?.as_ptr(), libc::O_CREAT | libc::O_RDWR, mode))?)?;
    let known = known::named(path)?;
    for (what, flags) in
        [("shm_open", libc::O_RDONLY), ("shm_open with O_CREAT of memory that is there", libc::O_RDWR | libc::O_CREAT)]
    {
        let opened = known::all([&known, &known::opening(flags)]);
        plan.step(what, vec![seen(ShmOpen, &opened)], move || {
            call!(shm_open(c"/conformance".as_ptr(), flags, mode)).map(drop)
        });
    }
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let new = values([
        ("path", json!("/dev/shm/conformance-new")),
        ("mode", json!(libc::S_IFREG | mode)),
        ("owner", json!(EFFECTIVE_USER)),
        ("device", known["device"].clone()),
        ("inode", UNKNOWN),
    ]);
    plan.step("shm_open of new memory", vec![seen(ShmOpen, &known::all([&new, &known::opening(flags)]))], move || {
        call!(shm_open(c"/conformance-new".as_ptr(), flags, mode)).map(drop)
    });
    let how = values([("writable", json!(true)), ("executable", json!(false))]);
    plan.step("mmap of memory below /dev/shm", vec![seen(ShmMap, &known::all([&known, &how]))], move || {
        map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd).map(drop)
    });
    Ok(())
}
