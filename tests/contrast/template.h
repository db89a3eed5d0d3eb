/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The template type: what an instance of channel file 291 may compare. The definition has 21 fields. The names
 * are those that Creance gives to the same values; `tests/src/replay/channel.rs` reads this file.
 *
 * "The new IPC Template Type defined 21 input parameter fields, but the integration code that invoked the Content
 * Interpreter with Channel File 291's Template Instances supplied only 20 input values to match against."
 * (Channel File 291 Incident: Root Cause Analysis, CrowdStrike, 6 August 2024; finding 1)
 */
#define FIELDS(FIELD) \
	FIELD(1, "path") \
	FIELD(2, "process.comm") \
	FIELD(3, "process.pid") \
	FIELD(4, "process.tid") \
	FIELD(5, "process.uid") \
	FIELD(6, "process.euid") \
	FIELD(7, "process.login_uid") \
	FIELD(8, "parent.pid") \
	FIELD(9, "parent.uid") \
	FIELD(10, "parent.comm") \
	FIELD(11, "ancestor1.pid") \
	FIELD(12, "ancestor1.comm") \
	FIELD(13, "inode") \
	FIELD(14, "device") \
	FIELD(15, "owner") \
	FIELD(16, "mode") \
	FIELD(17, "reads") \
	FIELD(18, "writes") \
	FIELD(19, "nonblock") \
	FIELD(20, "creates") \
	FIELD(21, "field21")

/* How many the definition has. */
#define DEFINED 21
/* How many the code supplies that calls the interpreter. Nothing compares the two numbers. */
#define SUPPLIED 20
