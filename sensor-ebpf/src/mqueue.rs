//! POSIX message queues in use. They are opened as files are: see [`fifo`](crate::fifo).

use sensor_common::event::{Event, Groups};

use crate::{
    hook::{Context, fentry_hook},
    kernel::Ptr,
    memory::Memory,
    object::{File, Type},
    payload,
    record::Held,
    scratch::Wanted,
    subject::{Seen, Subject},
};

/// The queue that a descriptor means.
#[inline(always)]
fn queue<C: Context>(ctx: &C) -> Option<File> {
    let (file, kind) = File::any(File::descriptor(ctx.arg(0))?)?;
    (kind == Type::Queue).then_some(file)
}

/// A message on its way into a queue.
struct Message {
    queue: File,
    text: Ptr,
    length: u64,
    priority: u32,
}

impl Message {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let message = Self { queue: queue(ctx)?, text: ctx.arg(1), length: ctx.arg(2), priority: ctx.arg(3) };
        Some((Event::MqueueSend, message))
    }
}

impl Subject for Message {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.queue.fill(held, wanted);
        if wanted.contains(Groups::MESSAGE) {
            held.record.object.message_type = u64::from(self.priority);
        }
        if wanted.contains(Groups::PAYLOAD) {
            payload::fill_from(held, self.text, self.length, Memory::User);
        }
    }
}

fentry_hook! {
    /// `int do_mq_timedsend(mqd_t mqdes, const char *u_msg_ptr, size_t msg_len, unsigned int msg_prio, struct
    /// timespec64 *ts)`
    mq_timedsend, Message::seen
}

fentry_hook! {
    /// `int do_mq_timedreceive(mqd_t mqdes, char *u_msg_ptr, size_t msg_len, unsigned int *u_msg_prio, struct
    /// timespec64 *ts)`
    mq_timedreceive, |ctx| Some((Event::MqueueReceive, queue(ctx)?))
}
