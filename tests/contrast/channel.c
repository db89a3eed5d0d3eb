// SPDX-License-Identifier: GPL-2.0
/*
 * The other side of the contrast: a content interpreter inside the kernel, as July 2024 knew it.
 *
 * A fair reading of "Channel File 291 Incident: Root Cause Analysis" (CrowdStrike, 6 August 2024; "RCA" below),
 * written for Linux and for FIFOs. It is no copy of anybody's code. What is the same: content is data that an
 * interpreter in the kernel reads; the template type defines 21 fields; the integration supplies 20; the validator
 * believes the definition; nothing checks a bound at run time. Only VMs of the tests load this module.
 *
 * Channel files are written to /dev/channel. Reading it tells what the interpreter did so far.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "template.h"

#define INSTANCES 8
#define LONGEST 64
#define PATH_LONGEST 256

/* One template instance: a criterion for each field that the definition has. */
struct instance {
	char criteria[DEFINED][LONGEST];
	unsigned long evaluated;
	unsigned long matched;
};

/*
 * What the integration makes of one event: the inputs, and behind them what it keeps for itself, as any structure
 * has something behind an array. A 21st input would be that. (RCA, finding 2: "the attempt to access the 21st
 * value produced an out-of-bounds memory read beyond the end of the input data array".)
 */
struct notification {
	const char *inputs[SUPPLIED];
	u64 path_length;
	char path[PATH_LONGEST];
	char text[SUPPLIED][24];
};

static struct instance *instances[INSTANCES];
static unsigned int loaded;
static struct notification notification;
static DEFINE_RAW_SPINLOCK(lock);

static bool is_wildcard(const char *criterion)
{
	return !strcmp(criterion, "*");
}

/* The whole text, or what it begins with where the criterion ends in `*`. */
static bool is_met(const char *criterion, const char *value)
{
	size_t length = strlen(criterion);

	if (length && criterion[length - 1] == '*')
		return !strncmp(criterion, value, length - 1);
	return !strcmp(criterion, value);
}

/*
 * The interpreter. It is given an array and believes the definition about its length: "a runtime array bounds
 * check was missing for Content Interpreter input fields" (RCA, finding 2). A field whose criterion is a wildcard
 * is not read, so four instances with a wildcard in field 21 "performed as expected in production" (RCA). There is
 * a test for a null pointer: it does not help, for what lies behind the array is none.
 */
static noinline __noclone bool interpret(const struct instance *instance, const char *const *inputs)
{
	unsigned int field;

	for (field = 0; field < DEFINED; field++) {
		const char *criterion = instance->criteria[field];

		if (is_wildcard(criterion))
			continue;
		if (!inputs[field] || !is_met(criterion, inputs[field]))
			return false;
	}
	return true;
}

static void number(struct notification *to, unsigned int field, long long value)
{
	snprintf(to->text[field - 1], sizeof(to->text[0]), "%lld", value);
	to->inputs[field - 1] = to->text[field - 1];
}

static void name(struct notification *to, unsigned int field, const struct task_struct *task)
{
	strscpy(to->text[field - 1], task->comm, sizeof(to->text[0]));
	to->inputs[field - 1] = to->text[field - 1];
}

/* The integration: 20 inputs of a FIFO that is about to be opened. Nobody wrote the line for the 21st. */
static void supply(struct notification *to, const struct inode *inode, struct file *file)
{
	const struct task_struct *parent = rcu_dereference(current->real_parent);
	const struct task_struct *ancestor = rcu_dereference(parent->real_parent);
	const char *path = d_path(&file->f_path, to->path, sizeof(to->path));

	to->inputs[0] = IS_ERR(path) ? "" : path;
	name(to, 2, current);
	number(to, 3, current->tgid);
	number(to, 4, current->pid);
	number(to, 5, from_kuid(&init_user_ns, current_uid()));
	number(to, 6, from_kuid(&init_user_ns, current_euid()));
	number(to, 7, from_kuid(&init_user_ns, current->loginuid));
	number(to, 8, parent->tgid);
	number(to, 9, from_kuid(&init_user_ns, task_uid(parent)));
	name(to, 10, parent);
	number(to, 11, ancestor->tgid);
	name(to, 12, ancestor);
	number(to, 13, inode->i_ino);
	number(to, 14, inode->i_sb->s_dev);
	number(to, 15, from_kuid(&init_user_ns, inode->i_uid));
	number(to, 16, inode->i_mode);
	number(to, 17, !!(file->f_mode & FMODE_READ));
	number(to, 18, !!(file->f_mode & FMODE_WRITE));
	number(to, 19, !!(file->f_flags & O_NONBLOCK));
	number(to, 20, !!(file->f_flags & O_CREAT));
	to->path_length = strlen(to->inputs[0]);
}

/* fifo_open(inode, file) begins: every loaded instance is evaluated. */
static int fifo_opens(struct kprobe *probe, struct pt_regs *regs)
{
	struct inode *inode = (struct inode *)regs_get_kernel_argument(regs, 0);
	struct file *file = (struct file *)regs_get_kernel_argument(regs, 1);
	unsigned long flags;
	unsigned int at;

	raw_spin_lock_irqsave(&lock, flags);
	rcu_read_lock();
	supply(&notification, inode, file);
	rcu_read_unlock();
	for (at = 0; at < loaded; at++) {
		instances[at]->evaluated++;
		if (interpret(instances[at], notification.inputs))
			instances[at]->matched++;
	}
	raw_spin_unlock_irqrestore(&lock, flags);
	return 0;
}

static struct kprobe probe = { .symbol_name = "fifo_open", .pre_handler = fifo_opens };

/* A line of a channel file: `FIELD CRITERION`. Others, such as comments, are passed over. */
static void read_line(struct instance *instance, char *line)
{
	char *number = strsep(&line, " ");
	unsigned int field;

	if (line && !kstrtouint(number, 10, &field) && field >= 1 && field <= DEFINED)
		strscpy(instance->criteria[field - 1], line, LONGEST);
}

/*
 * The validator: "the Content Validator evaluated the new Template Instances … based on the expectation that the
 * IPC Template Type would be provided with 21 inputs" (RCA, finding 4). It asks for a criterion for each defined
 * field, and so accepts the fifth file. (There, it ran where content is made.)
 */
static bool is_valid(const struct instance *instance)
{
	unsigned int field;

	for (field = 0; field < DEFINED; field++)
		if (!instance->criteria[field][0])
			return false;
	return true;
}

static ssize_t channel_write(struct file *file, const char __user *from, size_t count, loff_t *offset)
{
	struct instance *instance;
	char *text, *rest, *line;
	unsigned long flags;

	if (count > PAGE_SIZE || loaded == INSTANCES)
		return -EINVAL;
	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	instance = kzalloc(sizeof(*instance), GFP_KERNEL);
	if (!instance) {
		kfree(text);
		return -ENOMEM;
	}
	rest = text;
	while ((line = strsep(&rest, "\n")))
		read_line(instance, line);
	kfree(text);
	if (!is_valid(instance)) {
		kfree(instance);
		return -EINVAL;
	}
	raw_spin_lock_irqsave(&lock, flags);
	instances[loaded++] = instance;
	raw_spin_unlock_irqrestore(&lock, flags);
	pr_warn("channel 291: instance %u is valid, %u of %u fields checked; field 21 is %s\n", loaded, DEFINED, DEFINED,
		instance->criteria[20]);
	return count;
}

static ssize_t channel_read(struct file *file, char __user *to, size_t count, loff_t *offset)
{
	char text[INSTANCES * 48];
	int length = 0;
	unsigned int at;

	for (at = 0; at < loaded; at++)
		length += scnprintf(text + length, sizeof(text) - length, "%u evaluated %lu matched %lu\n", at + 1,
				    instances[at]->evaluated, instances[at]->matched);
	return simple_read_from_buffer(to, count, offset, text, length);
}

static const struct file_operations operations = { .owner = THIS_MODULE, .read = channel_read, .write = channel_write };
static struct miscdevice device = { .minor = MISC_DYNAMIC_MINOR, .name = "channel", .fops = &operations };

static int __init channel_init(void)
{
	int error = register_kprobe(&probe);

	if (error)
		return error;
	error = misc_register(&device);
	if (error)
		unregister_kprobe(&probe);
	return error;
}

static void __exit channel_exit(void)
{
	misc_deregister(&device);
	unregister_kprobe(&probe);
	while (loaded)
		kfree(instances[--loaded]);
}

module_init(channel_init);
module_exit(channel_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A content interpreter in the kernel, to show what it does; for VMs of the tests only");
