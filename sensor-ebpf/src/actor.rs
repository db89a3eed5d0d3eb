//! Who performs an event, who started that, and to whom something is done.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_get_current_cgroup_id, bpf_probe_read_kernel_str},
};
use sensor_common::{
    event::{ACTORS, Groups},
    record::{Ancestor, COMM_MAX, Record, TEXT_MAX, Text},
};

use crate::{
    cgroup,
    kernel::{
        CRED_CAP_EFFECTIVE, CRED_EUID, CRED_UID, CRED_USER_NS, FILE_DENTRY, FILE_MNT, MM_ARG_END, MM_ARG_START,
        MM_EXE_FILE, MNT_NS_INUM, NSPROXY_MNT_NS, NSPROXY_PID_NS, PID_NS_INUM, Ptr, Struct, TASK_COMM,
        TASK_GROUP_LEADER, TASK_LOGINUID, TASK_MM, TASK_NSPROXY, TASK_PID, TASK_REAL_CRED, TASK_REAL_PARENT,
        TASK_SESSIONID, TASK_START_BOOTTIME, TASK_TGID, USER_NS_INUM, member, probe,
    },
    memory::Memory,
    object::File,
    path,
    record::{self, Held},
    scratch::{Scratch, Wanted},
    text, user,
};

/// Fills those of the wanted groups that describe the process and those above it.
#[inline(always)]
pub fn fill(held: &Held, wanted: Wanted) {
    if wanted.meets(ACTORS) {
        fill_actor(held.scratch.slot());
    }
}

/// The same for what is held in this slot. A global function to the verifier, see [`walk_path`](crate::path):
/// as part of each program it was what 5.10's verifier gave up on.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fill_actor(slot: u32) -> u32 {
    let Some(mut held) = record::at(slot) else { return 0 };
    let (wanted, task) = (held.scratch.wanted(), Struct::current_task());
    if wanted.contains(Groups::PROCESS) {
        fill_process(held.record, task);
    }
    if wanted.contains(Groups::COMM) {
        fill_own_comm(&mut held.record.process.comm, task);
    }
    if wanted.contains(Groups::IDENTITY) {
        fill_identity(held.record, task);
    }
    if wanted.contains(Groups::ARGUMENTS) {
        fill_arguments(&mut held.record.process.arguments, held.scratch, task);
    }
    if wanted.contains(Groups::CGROUP) {
        cgroup::fill(&mut held.record.process.cgroup_path, held.scratch, task);
    }
    if wanted.contains(Groups::EXE) {
        fill_exe(&mut held.record.process.exe, held.scratch, task);
    }
    fill_parents(&mut held, wanted, task);
    0
}

/// Fills those of the wanted groups that describe the process that something is done to.
#[inline(always)]
pub fn fill_target(held: &mut Held, wanted: Wanted, task: Struct) {
    let target = &mut held.record.target;
    if wanted.contains(Groups::TARGET) {
        target.pid = task.get(&TASK_TGID);
        target.uid = task.to(&TASK_REAL_CRED).map_or(0, |cred| cred.get(&CRED_UID));
        fill_comm(&mut target.comm, task);
    }
    if wanted.contains(Groups::TARGET_EXE) {
        fill_exe(&mut target.exe, held.scratch, task);
    }
}

#[inline(always)]
fn fill_process(record: &mut Record, task: Struct) {
    let process = &mut record.process;
    process.pid = task.get(&TASK_TGID);
    process.tid = task.get(&TASK_PID);
    if let Some(leader) = task.to(&TASK_GROUP_LEADER) {
        process.start_time = leader.get(&TASK_START_BOOTTIME);
    }
    if let Some(cred) = task.to(&TASK_REAL_CRED) {
        process.uid = cred.get(&CRED_UID);
        process.euid = cred.get(&CRED_EUID);
    }
    // SAFETY: the helper takes nothing and always succeeds.
    process.cgroup = unsafe { bpf_get_current_cgroup_id() };
}

#[inline(always)]
fn fill_identity(record: &mut Record, task: Struct) {
    let process = &mut record.process;
    process.login_uid = task.get(&TASK_LOGINUID);
    process.session = task.get(&TASK_SESSIONID);
    let cred = task.to(&TASK_REAL_CRED);
    process.capabilities = cred.map_or(0, |cred| cred.get(&CRED_CAP_EFFECTIVE));
    let user = cred.map(|cred| cred.get::<u64>(&CRED_USER_NS) as Ptr);
    process.user_namespace = user.and_then(|namespace| probe(member(namespace, &USER_NS_INUM))).unwrap_or(0);
    // A process that ends has given its namespaces back.
    let namespaces = task.to(&TASK_NSPROXY);
    let pid = namespaces.and_then(|all| all.to(&NSPROXY_PID_NS));
    process.pid_namespace = pid.map_or(0, |namespace| namespace.get(&PID_NS_INUM));
    let mount = namespaces.and_then(|all| all.to(&NSPROXY_MNT_NS));
    process.mount_namespace = mount.map_or(0, |namespace| namespace.get(&MNT_NS_INUM));
    // Who has rights over his own namespace can name any file as what he runs (`PR_SET_MM_MAP`); root in a
    // container can put files where he likes.
    let is_of_host = cred.is_some_and(user::is_of_host) && !user::is_in_container(task);
    process.trusted = u32::from(is_of_host && exe(task).is_some_and(|file| File::new(file).is_trusted()));
}

/// The arguments lie in the process's own memory, where it can change them.
#[inline(always)]
fn fill_arguments(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, task: Struct) {
    text::empty(text);
    let Some(mm) = task.to(&TASK_MM) else { return };
    let (start, end): (u64, u64) = (mm.get(&MM_ARG_START), mm.get(&MM_ARG_END));
    let full = end.saturating_sub(start).min(u64::from(u32::MAX)) as u32;
    text::keep(text, scratch, Memory::User, start as Ptr, full);
}

/// Run once by the daemon itself: what it calls its process id is another process's on the host where it runs in
/// a pid namespace. Declared by hand: what `#[raw_tracepoint]` makes of a function always returns 0.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp/who_am_i")]
pub extern "C" fn who_am_i(_: *mut core::ffi::c_void) -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Process id of the current process.
#[inline(always)]
pub fn tgid() -> u32 {
    Struct::current_task().get(&TASK_TGID)
}

/// The file that a process runs; `None` for a kernel thread, which has no `mm`.
#[inline(always)]
pub fn exe(task: Struct) -> Option<Struct> {
    task.to(&TASK_MM).and_then(|mm| mm.to(&MM_EXE_FILE))
}

/// Never null, up to the first process, which is its own parent's child; and as programs run under RCU, all
/// of them live.
#[inline(always)]
pub fn parent(task: Struct) -> Option<Struct> {
    task.to(&TASK_REAL_PARENT)
}

#[inline(always)]
fn fill_parents(held: &mut Held, wanted: Wanted, task: Struct) {
    let above = wanted.contains(Groups::ANCESTORS) || wanted.contains(Groups::ANCESTORS_EXE);
    if !above && !wanted.contains(Groups::PARENT) && !wanted.contains(Groups::PARENT_EXE) {
        return;
    }
    let Some(father) = parent(task) else { return };
    if wanted.contains(Groups::PARENT) {
        let record = &mut held.record.parent;
        record.pid = father.get(&TASK_TGID);
        record.uid = father.to(&TASK_REAL_CRED).map_or(0, |cred| cred.get(&CRED_UID));
        fill_comm(&mut record.comm, father);
    }
    if wanted.contains(Groups::PARENT_EXE) {
        fill_exe(&mut held.record.parent.exe, held.scratch, father);
    }
    if above {
        let all = &mut held.record.ancestors;
        let mut task = father;
        for ancestor in [&mut all.first, &mut all.second, &mut all.third, &mut all.fourth] {
            let Some(next) = parent(task) else { return };
            fill_ancestor(ancestor, held.scratch, wanted, next);
            task = next;
        }
    }
}

#[inline(always)]
fn fill_ancestor(ancestor: &mut Ancestor, scratch: &mut Scratch, wanted: Wanted, task: Struct) {
    if wanted.contains(Groups::ANCESTORS) {
        ancestor.pid = task.get(&TASK_TGID);
        fill_comm(&mut ancestor.comm, task);
    }
    if wanted.contains(Groups::ANCESTORS_EXE) {
        fill_exe(&mut ancestor.exe, scratch, task);
    }
}

/// What the kernel's own threads in a process are called: `iou-wrk-…` and `iou-sqp-…`, which carry out
/// `io_uring` requests.
const KERNELS: u32 = u32::from_ne_bytes(*b"iou-");

/// The name of the current task; where it is one of the kernel's threads, that of the process's main thread.
/// By its name, because the flag `PF_IO_WORKER` has another value on each kernel; a program that calls its
/// thread so changes no more than that.
#[inline(always)]
fn fill_own_comm(text: &mut Text<COMM_MAX>, task: Struct) {
    fill_comm(text, task);
    // SAFETY: the bytes are at least four, and begin on a multiple of four.
    if unsafe { core::ptr::read_volatile(text.bytes.as_ptr().cast::<u32>()) } == KERNELS
        && let Some(leader) = task.to(&TASK_GROUP_LEADER)
    {
        fill_comm(text, leader);
    }
}

#[inline(always)]
fn fill_comm(text: &mut Text<COMM_MAX>, task: Struct) {
    // SAFETY: the destination has the size given; the helper cannot fault on the source and returns the length
    // with the terminating NUL, or an error below 0.
    let length = unsafe {
        bpf_probe_read_kernel_str(text.bytes.as_mut_ptr().cast(), COMM_MAX as u32, member(task.base, &TASK_COMM).cast())
    };
    text.len = if length > 0 { (length - 1) as u32 } else { 0 };
    text.full = text.len;
}

/// The path of `task->mm->exe_file`; empty for a kernel thread, which has no `mm`.
#[inline(always)]
fn fill_exe(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, task: Struct) {
    text::empty(text);
    let Some(file) = exe(task) else { return };
    let (dentry, mnt) = (file.get::<u64>(&FILE_DENTRY) as Ptr, file.get::<u64>(&FILE_MNT) as Ptr);
    path::fill(text, scratch, dentry, mnt);
}
