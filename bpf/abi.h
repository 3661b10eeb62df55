/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * The ABI between the BPF programs and user space: every record and every map value.
 * collector/kernel/abi.py mirrors it; tests/kernel/test_abi.py compares the two layouts.
 * Fixed widths, explicit padding, no pointers. A change here raises ABI_VERSION.
 */
#pragma once

#define ABI_VERSION 1

#define HEAD_LIMIT 8192  /* of one HTTP head, user space reads at most this much */
#define HEAD_WINDOW 4096 /* a head that begins this early in a call is captured whole */
#define CAPTURE_LIMIT (HEAD_WINDOW + HEAD_LIMIT)
#define COMM_SIZE 16

enum record_kind { RECORD_MOVED = 1, RECORD_CHANGED = 2, RECORD_EXITED = 3 };

enum direction { SENT = 0, RECEIVED = 1 };

/* moved.flags */
#define MOVED_JOINED 0x01     /* the connection was open before it was first seen */
#define MOVED_UNREADABLE 0x02 /* moved without a readable user buffer: sendfile, splice, io_uring, 32-bit task */
#define MOVED_FAULT 0x04      /* the user buffer could not be read */
#define MOVED_DISCARDED 0x08  /* MSG_TRUNC: counted, never in a user buffer */
#define MOVED_MUTED 0x10      /* user space asked for no payload here */

enum change_kind {
	CHANGE_OPENED = 1,         /* handshake complete, either side */
	CHANGE_PEER_FINISHED = 2,  /* FIN received */
	CHANGE_LOCAL_FINISHED = 3, /* FIN sent: shutdown or close, see `shutdown` */
	CHANGE_CLOSED = 4,         /* state CLOSE, also a failed connect */
	CHANGE_DESTROYED = 5,      /* the socket is gone: totals are final */
};

/* changed.flags */
#define CHANGED_JOINED 0x01
#define CHANGED_RESET_RECEIVED 0x02
#define CHANGED_CONNECTOR 0x04 /* this end called connect() */
#define CHANGED_ORPHANED 0x08  /* no process holds the socket any more */

struct record_head {
	u8 kind;
	u8 lane; /* nesting depth on this CPU: a softirq inside a task program has its own sequence */
	u16 cpu;
	u32 size;     /* of the whole record, payload included */
	u64 sequence; /* per (cpu, lane), without holes: a hole is a lost record */
	u64 at_ns;    /* CLOCK_MONOTONIC */
};

struct task_identity {
	u64 started_ns; /* start of the process since boot: with pid, unique until reboot */
	u64 cgroup_id;
	u32 pid; /* thread group, in the initial pid namespace; 0: not known (softirq) */
	u32 tid;
	u32 exec_id; /* grows at every execve of this process */
	u32 uid;
	char comm[COMM_SIZE]; /* of the thread group leader */
};

struct endpoints {
	u8 local[16]; /* IPv4 as ::ffff:a.b.c.d */
	u8 peer[16];
	u16 local_port;
	u16 peer_port;
	u16 family;
	u16 reserved;
};

/* Bytes moved by one send or receive call (one message of sendmmsg/recvmmsg). Payload follows. */
struct moved {
	struct record_head head;
	u64 connection; /* socket cookie */
	u64 offset;     /* of the first byte, in this direction's stream since the connection was first seen */
	u64 ready_ns;   /* received: when the first byte not read before became readable; 0: not known */
	u32 length;     /* bytes moved */
	u32 captured;   /* bytes of payload that follow */
	u32 srtt_us;
	u32 min_rtt_us;
	u32 retransmits; /* of this end, since the connection opened */
	u16 syscall;
	u8 direction;
	u8 flags;
	struct task_identity task;
	struct endpoints ends;
};

/* The life of a connection. */
struct changed {
	struct record_head head;
	u64 connection;
	u64 connect_ns;     /* when SYN was sent; 0: not by this end, or before start */
	u64 established_ns; /* 0: not known */
	u64 sent_bytes;     /* exact since first seen, also for what was lost or muted */
	u64 received_bytes;
	u64 peer_end; /* after FIN or RST: where the peer's stream ends, in `offset` terms */
	u32 sent_calls;
	u32 received_calls;
	u32 segments_out;
	u32 segments_in;
	u32 exchanges; /* response turns counted in the kernel */
	u32 retransmits;
	u32 srtt_us;
	u32 min_rtt_us;
	u32 error; /* errno of the socket */
	u8 kind;
	u8 old_state;
	u8 new_state;
	u8 flags;
	u8 shutdown; /* 1 receive side, 2 send side, 3 both */
	u8 reserved[7];
	struct task_identity task; /* the process that moved the first byte or connected; pid 0: none yet */
	struct endpoints ends;
};
