//! System V message queues, shared memory and semaphores.

use sensor_common::event::{Event, Groups};

use crate::{
    hook::{Context, lsm_hook},
    kernel::{
        IPC_ID, IPC_KEY, IPC_MODE, IPC_UID, MSG_SECURITY, MSG_SIZE, MSG_TYPE, Ptr, SHM_SEGSZ, Struct, member, probe,
    },
    memory::Memory,
    payload,
    record::Held,
    scratch::Wanted,
    subject::{Seen, Subject},
};

/// An object, by its `struct kern_ipc_perm`.
struct Object {
    perm: Struct,
    /// Of one that is being made, the identifier and the owner are not written yet.
    is_new: bool,
}

impl Object {
    /// One that is there.
    #[inline(always)]
    fn old<C: Context>(ctx: &C, event: Event) -> Seen<Self> {
        Some((event, Self { perm: Struct::typed(ctx.arg(0)), is_new: false }))
    }

    /// One that is being made.
    #[inline(always)]
    fn new<C: Context>(ctx: &C, event: Event) -> Seen<Self> {
        Some((event, Self { perm: Struct::typed(ctx.arg(0)), is_new: true }))
    }
}

impl Subject for Object {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        let object = &mut held.record.object;
        if wanted.contains(Groups::KEY) {
            object.key = self.perm.get(&IPC_KEY);
            object.id = if self.is_new { 0 } else { self.perm.get(&IPC_ID) };
        }
        if wanted.contains(Groups::MODE) {
            object.mode = u32::from(self.perm.get::<u16>(&IPC_MODE));
        }
        if wanted.contains(Groups::OWNER) {
            object.owner = self.perm.get(&IPC_UID);
        }
        if wanted.contains(Groups::SIZE) {
            // `perm` is the first member of `struct shmid_kernel`, of which the verifier does not know here.
            object.segment_size = probe(member(self.perm.base, &SHM_SEGSZ)).unwrap_or(0);
        }
    }
}

/// A message on its way into or out of a queue.
struct Message {
    queue: Object,
    message: Struct,
    /// Who receives it. The kernel hands it to one that sleeps while the sender sends, in the sender's name
    /// (`pipelined_send`).
    receiver: Option<Ptr>,
}

impl Message {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C, event: Event) -> Seen<Self> {
        let queue = Object { perm: Struct::typed(ctx.arg(0)), is_new: false };
        let receiver = matches!(event, Event::SysvMsgReceive).then(|| ctx.arg(2));
        Some((event, Self { queue, message: Struct::typed(ctx.arg(1)), receiver }))
    }

    /// The text behind `struct msg_msg`, of which `security` is the last member: in one piece up to the end
    /// of the page.
    #[inline(always)]
    fn text(&self) -> Ptr {
        member(self.message.base, &MSG_SECURITY).wrapping_add(size_of::<u64>())
    }
}

impl Subject for Message {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.queue.fill(held, wanted);
        if wanted.contains(Groups::MESSAGE) {
            held.record.object.message_type = self.message.get(&MSG_TYPE);
        }
        if wanted.contains(Groups::PAYLOAD) {
            payload::fill_from(held, self.text(), self.message.get(&MSG_SIZE), Memory::Kernel);
        }
    }

    #[inline(always)]
    fn is_by_current(&self) -> bool {
        self.receiver.is_none_or(|receiver| receiver == Struct::current_task().base)
    }
}

lsm_hook! {
    /// `int msg_queue_alloc_security(struct kern_ipc_perm *perm)`
    msg_queue_alloc_security, |ctx| Object::new(ctx, Event::SysvMsgCreate)
}

lsm_hook! {
    /// `int msg_queue_associate(struct kern_ipc_perm *perm, int msqflg)`
    msg_queue_associate, |ctx| Object::old(ctx, Event::SysvMsgOpen)
}

lsm_hook! {
    /// `int msg_queue_msgsnd(struct kern_ipc_perm *perm, struct msg_msg *msg, int msqflg)`
    msg_queue_msgsnd, |ctx| Message::seen(ctx, Event::SysvMsgSend)
}

lsm_hook! {
    /// `int msg_queue_msgrcv(struct kern_ipc_perm *perm, struct msg_msg *msg, struct task_struct *target,
    /// long type, int mode)`
    msg_queue_msgrcv, |ctx| Message::seen(ctx, Event::SysvMsgReceive)
}

lsm_hook! {
    /// `int shm_alloc_security(struct kern_ipc_perm *perm)`
    shm_alloc_security, |ctx| Object::new(ctx, Event::SysvShmCreate)
}

lsm_hook! {
    /// `int shm_associate(struct kern_ipc_perm *perm, int shmflg)`
    shm_associate, |ctx| Object::old(ctx, Event::SysvShmOpen)
}

lsm_hook! {
    /// `int shm_shmat(struct kern_ipc_perm *perm, char *shmaddr, int shmflg)`
    shm_shmat, |ctx| Object::old(ctx, Event::SysvShmAttach)
}

lsm_hook! {
    /// `int sem_alloc_security(struct kern_ipc_perm *perm)`
    sem_alloc_security, |ctx| Object::new(ctx, Event::SysvSemCreate)
}

lsm_hook! {
    /// `int sem_associate(struct kern_ipc_perm *perm, int semflg)`
    sem_associate, |ctx| Object::old(ctx, Event::SysvSemOpen)
}

lsm_hook! {
    /// `int sem_semop(struct kern_ipc_perm *perm, struct sembuf *sops, unsigned int nsops, int alter)`
    sem_semop, |ctx| Object::old(ctx, Event::SysvSemOperate)
}
