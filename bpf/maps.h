/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Maps, their values, and the numbers under which losses are counted. The loader creates the maps; compiled code names
 * them by the numbers below, which the loader replaces by descriptors. So compiled code can be kept in a cache.
 */
#pragma once

enum map_number {
	MAP_EVENTS = 1, /* ring buffer of records */
	MAP_CONNECTIONS =
		2, /* hash: socket cookie (or address) -> struct connection; beside MAP_SOCKETS only those whose end was lost */
	MAP_CPUS = 3,      /* array, mapped by user space: struct cpu_state */
	MAP_SCRATCH = 4,   /* per-CPU array by lane: struct scratch */
	MAP_SETTINGS = 5,  /* array of one: struct settings */
	MAP_PROCESSES = 6, /* hash: process ID -> enum process_mode */
	MAP_COMMS = 7,     /* hash: command name -> u8 */
	MAP_CGROUPS = 8,   /* hash: cgroup v2 ID -> u8 */
	MAP_PORTS = 9,     /* hash: u32 port -> u8 */
	MAP_HINTS = 10,    /* array, mapped by user space: struct hint */
	MAP_BLANK = 11,    /* array of one: a struct connection of zeros */
	MAP_SOCKETS = 13,  /* storage at the socket itself: struct connection, on rungs with typed sockets */
	MAP_TAKEN = 14,    /* storage at the thread: u32, 1 where the first copy of a program has this call */
	MAP_CALLS = 12,    /* hash, rungs kprobe and enter: thread and direction -> socket in a running call */
};

#define CPU_LANES 4      /* task, softirq, hardirq, NMI */
#define HINT_SLOTS 16384 /* power of two */
#define EXCLUDED_PIDS 4

#define MAP(number) ((void *)bpf_pseudo_fd(1, number))

/* Reasons: one number for each helper that can fail and each record that can be lost. Mirrored in abi.py. */
enum loss_reason {
	LOSS_RING_FULL_MOVED = 0,
	LOSS_RING_FULL_CHANGED = 1,
	LOSS_CONNECTION_TABLE_FULL = 2,
	LOSS_NO_SCRATCH = 3,
	LOSS_NESTED_TOO_DEEP = 4,
	LOSS_NO_CPU_STATE = 5,
	LOSS_NO_TASK_REGISTERS = 6,
	LOSS_USER_BUFFER_FAULT = 7,
	LOSS_USER_IOVEC_FAULT = 8,
	LOSS_USER_HEADER_FAULT = 9,
	LOSS_IOVEC_TOO_LONG = 10,
	LOSS_AMBIGUOUS_MESSAGE = 11, /* recvmmsg: which of its buffers was filled cannot be told */
	LOSS_NO_COOKIE = 12,
	LOSS_NO_TCP_SOCK = 13,
	LOSS_NO_SETTINGS = 14,
	LOSS_PROCESS_TABLE_FULL = 15,
	LOSS_CONNECTION_DELETE = 16,
	LOSS_CALL_TABLE_FULL = 17,
	LOSS_RETURN_MISSED = 18,
	LOSS_REASONS = 32,
};

/* One per CPU, in a plain array that user space maps: readable without any privilege. Only its own CPU writes it. */
struct cpu_state {
	u32 depth;
	u32 reserved;
	u64 sequence[CPU_LANES];
	u64 bytes[2]; /* moved by watched connections, exact whatever becomes of the records */
	u64 calls[2];
	u64 exchanges;
	u64 connections; /* watched */
	u64 losses[LOSS_REASONS];
	u64 identities; /* given to connections here, where the kernel has none to give */
	u64 spare[20];  /* to 512 bytes: no two CPUs share a cache line */
};

#define CONNECTION_WATCHED 0x01
#define CONNECTION_JOINED 0x02
#define CONNECTION_CONNECTOR 0x04
#define CONNECTION_RESET 0x08
#define CONNECTION_GONE 0x10     /* destroyed, its last record lost: user space sweeps it */
#define CONNECTION_FINISHED 0x40 /* our FIN is on its way */
#define CONNECTION_BASED 0x20    /* stream positions have their base */

#define READY_UNKNOWN 1 /* in ready_ns: unread bytes whose arrival was not seen singly */

/* One per TCP connection. */
struct connection {
	u64 cookie;
	u64 connect_ns;
	u64 established_ns;
	u64 ready_ns; /* when the first unread byte became readable; 0: nothing unread */
	u64 ready_last_ns;
	u64 end[2];   /* stream offset after the last byte moved */
	u64 bytes[2]; /* moved by calls that were seen */
	u64 peer_end;
	u32 sequence[2]; /* TCP sequence number at end[] */
	u32 calls[2];
	u32 segments[2]; /* out, in */
	u32 retransmits;
	u32 srtt_us;
	u32 min_rtt_us;
	u32 error;
	u32 exchanges;
	u32 flags;
	u8 start[16]; /* the first bytes of this turn, until the status is known */
	u8 turn;      /* direction + 1 of the last call */
	u8 start_length;
	u8 reserved[2];
	u32 rejected; /* the generation of filters that said no to `mover` */
	u64 vector;   /* sendmmsg/recvmmsg: the array in use, */
	u32 vector_tid;
	u32 vector_index; /* and the message that comes next */
	struct task_identity task;
	struct endpoints ends;
	struct task_identity mover; /* of the last call: most connections stay with one thread */
};

#define FILTER_PROCESS 0x01
#define FILTER_COMM 0x02
#define FILTER_CGROUP 0x04
#define FILTER_PORT 0x08

/* Different kinds of filter must all match, entries of one kind any. */
struct settings {
	u32 filters;
	u32 excluded[EXCLUDED_PIDS]; /* the observer's own processes */
	u32 generation;              /* grows when the filters change */
};

enum process_mode { PROCESS_WATCHED = 1, PROCESS_AND_CHILDREN = 2 };

#define HINT_LENGTHS 0xFFFFFFFFFFFFFFFEULL /* as `until`: no payload wanted any more, but a record for each call */

/* User space says: below `until` this direction is body, no payload wanted, and no record for a call that ends below. */
struct hint {
	u64 connection;
	u64 until[2];
};

/* One call as the byte path sees it. It stands in a map: what is read back from there the verifier takes for unknown,
 * and so does not follow each system call number through the whole program. */
struct call {
	u64 number;
	u32 flags;    /* MSG_* as passed by the caller */
	u32 length;   /* bytes moved */
	u32 messages; /* sendmmsg/recvmmsg seen whole: how many were moved; 0: seen one by one */
	u8 readable;  /* the registers name the buffer */
	u8 muted;     /* no payload wanted */
	u8 silent;    /* nor a record */
	u8 reserved;
};

/* What is left to read: the parts of one message, and the messages after it. */
struct vector {
	const struct iovec *parts;
	u64 count;
	u64 left; /* bytes of this message not yet met */
	const struct mmsghdr *next;
	u64 more; /* messages from `next` on */
	u64 have; /* bytes copied */
	u64 wanted;
};

struct scratch {
	struct moved moved;
	u8 payload[16384 + CAPTURE_LIMIT]; /* any masked start plus any bounded length stays inside */
	struct call call;
	struct vector vector;
};
