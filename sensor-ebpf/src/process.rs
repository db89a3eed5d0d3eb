//! Who performs the event: the current task and its parent.

use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel_str,
};
use sensor_common::{
    event::Groups,
    kernel::ABSENT,
    record::{COMM_MAX, TEXT_MAX, Text},
};

use crate::{
    kernel::{
        CRED_EUID, CRED_UID, FILE_DENTRY, FILE_MNT, GET_CURRENT_TASK_BTF, MM_EXE_FILE, Ptr, TASK_COMM,
        TASK_GROUP_LEADER, TASK_MM, TASK_PID, TASK_REAL_CRED, TASK_REAL_PARENT, TASK_START_BOOTTIME, TASK_TGID, load,
        member, probe, value,
    },
    path,
    record::Held,
    scratch::Scratch,
};

/// A struct of the kernel that is reached from the current task.
///
/// Since 5.11 the verifier can know the task's type, and so that of everything reached from it. On 5.10 it cannot, and
/// each step is a probe. Which of the two is settled by a constant, so the verifier drops the other.
#[derive(Clone, Copy)]
pub struct Reached(Ptr);

impl Reached {
    /// `struct task_struct` of the current task.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: the helpers take nothing and always succeed.
        unsafe {
            if is_typed() { Self(bpf_get_current_task_btf().cast()) } else { Self(bpf_get_current_task() as Ptr) }
        }
    }

    /// A member's value.
    #[inline(always)]
    pub fn get<T: Copy + Default>(self, offset: &'static u32) -> T {
        if is_typed() {
            // SAFETY: the pointer is typed; the verifier checks the member.
            unsafe { load(self.0, offset) }
        } else {
            probe(member(self.0, offset)).unwrap_or_default()
        }
    }

    /// The struct that a member points to; `None` where it points to none.
    #[inline(always)]
    fn to(self, offset: &'static u32) -> Option<Self> {
        let pointer = if is_typed() {
            // SAFETY: as above. Not as an integer: the verifier would forget the type.
            unsafe { load::<Ptr>(self.0, offset) }
        } else {
            self.get::<u64>(offset) as Ptr
        };
        (!pointer.is_null()).then_some(Self(pointer))
    }
}

#[inline(always)]
fn is_typed() -> bool {
    value(&GET_CURRENT_TASK_BTF) != ABSENT
}

/// Fills those of `groups` that describe the process and its parent.
#[inline(always)]
pub fn fill(held: &mut Held, groups: Groups) {
    let task = Reached::current();
    if groups.contains(Groups::PROCESS) {
        fill_process(held, task);
    }
    if groups.contains(Groups::EXE) {
        fill_exe(&mut held.record.process.exe, held.scratch, task);
    }
    if groups.contains(Groups::PARENT) || groups.contains(Groups::PARENT_EXE) {
        // Never null; and as programs run under RCU, it lives.
        let Some(parent) = task.to(&TASK_REAL_PARENT) else { return };
        if groups.contains(Groups::PARENT) {
            fill_parent(held, parent);
        }
        if groups.contains(Groups::PARENT_EXE) {
            fill_exe(&mut held.record.parent.exe, held.scratch, parent);
        }
    }
}

#[inline(always)]
fn fill_process(held: &mut Held, task: Reached) {
    let process = &mut held.record.process;
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
    fill_comm(&mut process.comm, task);
}

#[inline(always)]
fn fill_parent(held: &mut Held, parent: Reached) {
    let record = &mut held.record.parent;
    record.pid = parent.get(&TASK_TGID);
    if let Some(cred) = parent.to(&TASK_REAL_CRED) {
        record.uid = cred.get(&CRED_UID);
    }
    fill_comm(&mut record.comm, parent);
}

#[inline(always)]
fn fill_comm(text: &mut Text<COMM_MAX>, task: Reached) {
    // SAFETY: the destination has the size given; the helper cannot fault on the source and returns the length
    // with the terminating NUL, or an error below 0.
    let length = unsafe {
        bpf_probe_read_kernel_str(text.bytes.as_mut_ptr().cast(), COMM_MAX as u32, member(task.0, &TASK_COMM).cast())
    };
    text.len = if length > 0 { (length - 1) as u32 } else { 0 };
    text.full = text.len;
}

/// The path of `task->mm->exe_file`; empty for a kernel thread, which has no `mm`.
#[inline(always)]
fn fill_exe(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, task: Reached) {
    text.len = 0;
    text.full = 0;
    let Some(file) = task.to(&TASK_MM).and_then(|mm| mm.to(&MM_EXE_FILE)) else { return };
    let (Some(dentry), Some(mnt)) = (file.to(&FILE_DENTRY), file.to(&FILE_MNT)) else { return };
    path::fill(text, scratch, dentry.0, mnt.0);
}
