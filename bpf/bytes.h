/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * The one body behind every rung: `length` bytes of `sk` were moved in `direction` by the current task.
 */
#pragma once

/* Responses counted in the kernel: a turn of one direction that begins with an HTTP status line, interim ones (1xx
 * but 101) not counted. Exact whatever the ring loses, where exchanges follow one another (no pipelining). */
INLINE void count_exchange(struct connection *c, struct cpu_state *cpu, u8 *payload, u32 captured, u8 direction)
{
	u32 have, more, i;

	if (c->turn != direction + 1) {
		c->turn = direction + 1;
		c->start_length = 0;
	}
	have = c->start_length;
	if (have >= 12 || !captured)
		return;
	if (!have && captured >= 12) {
		__builtin_memcpy(c->start, payload, 12);
		c->start_length = 12;
	} else {
		more = captured < 12 - have ? captured : 12 - have;
#pragma unroll
		for (i = 0; i < 12; i++) /* unrolled: before 6.6 the verifier would go round a loop here without end */
			if (i < more)
				c->start[(have + i) & 15] = payload[i];
		c->start_length = have + more;
		if (c->start_length < 12)
			return;
	}
	if (c->start[0] != 'H' || c->start[1] != 'T' || c->start[2] != 'T' || c->start[3] != 'P' || c->start[4] != '/')
		return;
	if (c->start[9] == '1' && !(c->start[10] == '0' && c->start[11] == '1')) {
		c->start_length = 0; /* interim: the final one follows in this turn */
		return;
	}
	c->exchanges++;
	cpu->exchanges++;
}

INLINE u64 take_ready(struct connection *c, struct tcp_sock *tp)
{
	u64 ready = c->ready_ns;

	if (tp && LOAD(tp->rcv_nxt) == LOAD(tp->copied_seq))
		c->ready_ns = 0; /* all read: the next arrival is the first unread byte */
	else if (c->ready_ns != c->ready_last_ns)
		c->ready_ns = READY_UNKNOWN; /* several arrivals, some read: which one comes next is not known */
	return ready == READY_UNKNOWN ? 0 : ready;
}

/* What user space asked not to be told of this call. */
INLINE void mute(struct connection *c, struct call *call, u8 direction, u64 end)
{
	u32 slot = c->cookie & (HINT_SLOTS - 1);
	struct hint *hint = map_lookup(MAP(MAP_HINTS), &slot);
	u64 until;

	call->muted = call->silent = 0;
	if (!hint || hint->connection != c->cookie)
		return;
	until = hint->until[direction & 1];
	if (end <= until)
		call->muted = 1;
	if (end < until && until != HINT_LENGTHS)
		call->silent = 1;
}

INLINE void tell_moved(struct cpu_state *cpu, u32 lane, struct scratch *scratch, u32 captured)
{
	u64 size = captured;

	asm volatile("" : "+r"(size));
	if (size > CAPTURE_LIMIT)
		size = CAPTURE_LIMIT;
	fill_head(&scratch->moved.head, cpu, lane, RECORD_MOVED, sizeof(struct moved) + size, monotonic_ns());
	scratch->moved.captured = size;
	if (ring_output(MAP(MAP_EVENTS), scratch, sizeof(struct moved) + size, RING_NO_WAKEUP))
		count_loss(LOSS_RING_FULL_MOVED);
}

/* First sight of a connection by its bytes: it passed the filters. */
INLINE struct connection *admit(struct cpu_state *cpu, u32 lane, struct sock *sk, struct tcp_sock *tp,
				struct connection *c, struct call *call, u8 direction)
{
	if (!c) {
		c = make_connection(sk);
		if (!c)
			return NULL;
		c->flags |= CONNECTION_JOINED;
	}
	if (!(c->flags & CONNECTION_BASED) && tp) {
		base_streams(c, tp);
		c->sequence[direction & 1] -= call->length; /* this call counts from its first byte */
	}
	fill_ends(&c->ends, sk, tp);
	if (!c->task.pid)
		fill_task(&c->task);
	start_watching(c, cpu);
	if (!(c->flags & CONNECTION_JOINED)) {
		struct transition opened = { .kind = CHANGE_OPENED,
					     .old_state = TCP_SYN_SENT,
					     .new_state = TCP_ESTABLISHED };

		tell_change(cpu, lane, c, &opened);
	}
	return c;
}

INLINE void account(struct cpu_state *cpu, struct connection *c, struct tcp_sock *tp, struct call *call, u8 direction)
{
	c->bytes[direction] += call->length;
	c->calls[direction]++;
	cpu->bytes[direction] += call->length;
	cpu->calls[direction]++;
	if (tp) {
		stream_position(c, tp, direction);
		load_tcp_facts(c, tp);
	} else {
		c->end[direction] += call->length;
	}
}

INLINE u32 capture(struct scratch *scratch, struct connection *c, struct pt_regs *regs, u8 direction)
{
	struct call *call = &scratch->call;
	struct moved *moved = &scratch->moved;

	moved->flags = c->flags & CONNECTION_JOINED ? MOVED_JOINED : 0;
	if (call->muted)
		moved->flags |= MOVED_MUTED;
	else if (!call->readable)
		moved->flags |= MOVED_UNREADABLE;
	else if (direction == RECEIVED && (call->flags & MSG_TRUNC_FLAG))
		moved->flags |= MOVED_DISCARDED;
	else
		return copy_payload(scratch, c, regs, direction);
	return 0;
}

INLINE void record_bytes(struct cpu_state *cpu, u32 lane, struct scratch *scratch, struct tcp_sock *tp,
			 struct connection *c, struct pt_regs *regs, u8 direction)
{
	struct call *call = &scratch->call;
	struct moved *moved = &scratch->moved;
	u32 captured;

	account(cpu, c, tp, call, direction);
	moved->ready_ns = direction == RECEIVED ? take_ready(c, tp) : 0;
	mute(c, call, direction, c->end[direction]);
	compiler_barrier();
	captured = capture(scratch, c, regs, direction);
	compiler_barrier();
	count_exchange(c, cpu, scratch->payload, captured, direction);
	compiler_barrier();
	if (call->silent)
		return;
	moved->connection = c->cookie;
	moved->offset = c->end[direction] - call->length;
	moved->length = call->length;
	moved->srtt_us = c->srtt_us;
	moved->min_rtt_us = c->min_rtt_us;
	moved->retransmits = c->retransmits;
	moved->syscall = call->number;
	moved->direction = direction;
	if (!is_task(&c->mover))
		fill_task(&c->mover);
	moved->task = c->mover;
	moved->ends = c->ends;
	tell_moved(cpu, lane, scratch, captured);
}

INLINE void in_lane(struct cpu_state *cpu, u32 lane, struct sock *sk, struct tcp_sock *tp, struct connection *c,
		    struct pt_regs *regs, int length, u8 direction)
{
	struct scratch *scratch = map_lookup(MAP(MAP_SCRATCH), &lane);

	if (!scratch) {
		count_loss(LOSS_NO_SCRATCH);
		return;
	}
	read_call(&scratch->call, regs, length);
	direction &= 1;
#ifdef LENGTH_COUNTS_MESSAGES
	if (is_multiple(scratch->call.number)) {
		scratch->call.messages = length;
		scratch->call.length = messages_length(regs, length);
	}
#endif
	if (moves_no_stream(&scratch->call, direction))
		return;
	if (!c || !(c->flags & CONNECTION_WATCHED))
		c = admit(cpu, lane, sk, tp, c, &scratch->call, direction);
	if (c)
		record_bytes(cpu, lane, scratch, tp, c, regs, direction);
}

/* The filters' word on this thread and socket; a no is remembered while neither changes. A command name may change at
 * any time, so it is asked again. */
INLINE int wants(struct sock *sk, struct connection *c)
{
	struct settings *settings = settings_of();

	if (!settings) {
		count_loss(LOSS_NO_SETTINGS);
		return 0;
	}
	if (c && c->rejected == settings->generation && is_task(&c->mover))
		return 0;
	if (passes_filters(settings, sk, tcp_sock_of(sk)))
		return 1;
	if (!c) {
		c = make_connection(sk);
		if (!c)
			return 0;
		c->flags |= CONNECTION_JOINED;
	}
	if (!(settings->filters & FILTER_COMM)) {
		fill_task(&c->mover);
		c->rejected = settings->generation;
	}
	return 0;
}

INLINE int is_observed(struct sock *sk, struct connection *c)
{
	return (c && (c->flags & CONNECTION_WATCHED)) || wants(sk, c);
}

/* The kernel does not run a program on a CPU where it is under way already, in a task that was preempted: a call of
 * another task would be missed. So where that can be there are two copies, one behind the other: the second takes what
 * the first did not. */
enum copy { ONLY_COPY, FIRST_COPY, SECOND_COPY };

INLINE int is_mine(enum copy copy)
{
	u32 *taken;

	if (copy == ONLY_COPY)
		return 1;
	taken = task_storage_get(MAP(MAP_TAKEN), current_task_btf(), NULL, copy == FIRST_COPY ? STORAGE_CREATE : 0);
	if (copy == FIRST_COPY) {
		if (taken)
			*taken = 1;
		return taken != NULL;
	}
	if (!taken || !*taken)
		return 1;
	*taken = 0;
	return 0;
}

INLINE int on_bytes_of(enum copy copy, struct sock *sk, struct pt_regs *regs, int length, u8 direction)
{
	struct cpu_state *cpu;
	struct connection *c;
	struct tcp_sock *tp;
	u32 lane;

	if (length <= 0 || !is_tcp(sk))
		return 0;
	c = find_connection(sk);
	if (!is_observed(sk, c))
		return 0;
	if (!is_mine(copy))
		return 0;
	cpu = enter_lane(&lane);
	if (!cpu)
		return 0;
	tp = tcp_sock_of(sk);
	in_lane(cpu, lane, sk, tp, c, regs, length, direction);
	leave_lane(cpu);
	return 0;
}

#ifdef TWICE
#define on_bytes(...) on_bytes_of(FIRST_COPY, __VA_ARGS__)
#define on_bytes_again(...) on_bytes_of(SECOND_COPY, __VA_ARGS__)
#else
#define on_bytes(...) on_bytes_of(ONLY_COPY, __VA_ARGS__)
#endif
