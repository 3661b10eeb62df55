/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * The life of a connection: opened, finished, closed, gone; when data became readable; resets.
 */
#pragma once

INLINE struct connection *on_connecting(struct sock *sk)
{
	struct connection *c = make_connection(sk);

	if (!c)
		return NULL;
	c->flags |= CONNECTION_CONNECTOR;
	c->connect_ns = monotonic_ns();
	fill_task(&c->task);
	fill_ends(&c->ends, sk, tcp_sock_of(sk));
	return c;
}

INLINE struct connection *on_established(struct sock *sk, struct tcp_sock *tp, struct connection *c)
{
	if (!c)
		c = make_connection(sk);
	if (!c)
		return NULL;
	c->established_ns = monotonic_ns();
	fill_ends(&c->ends, sk, tp);
	if (tp)
		base_streams(c, tp);
	return c;
}

INLINE void note_peer_end(struct connection *c, struct tcp_sock *tp)
{
	c->peer_end = c->end[RECEIVED] + (u32)(LOAD(tp->rcv_nxt) - fin_received(tp) - c->sequence[RECEIVED]);
}

INLINE u8 kind_of(int new_state)
{
	switch (new_state) {
	case TCP_ESTABLISHED:
		return CHANGE_OPENED;
	case TCP_CLOSE_WAIT:
		return CHANGE_PEER_FINISHED;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		return CHANGE_LOCAL_FINISHED;
	case TCP_CLOSING:
	case TCP_TIME_WAIT:
		return CHANGE_PEER_FINISHED;
	case TCP_CLOSE:
		return CHANGE_CLOSED;
	default:
		return 0;
	}
}

INLINE void note_change(struct sock *sk, struct tcp_sock *tp, struct connection *c, u8 kind)
{
	if (tp) {
		load_tcp_facts(c, tp);
		if (c->flags & CONNECTION_BASED) {
			if (kind <= CHANGE_LOCAL_FINISHED && !(c->flags & CONNECTION_FINISHED))
				stream_position(c, tp, SENT); /* later write_seq counts our FIN too */
			if (kind != CHANGE_OPENED && !c->peer_end)
				note_peer_end(c, tp);
		}
	}
	if (kind == CHANGE_LOCAL_FINISHED)
		c->flags |= CONNECTION_FINISHED;
	if (kind == CHANGE_CLOSED)
		c->error = LOAD(sk->sk_err);
}

/* Whether the process that opened or will use it is watched; ports alone can decide in softirq. */
INLINE int admits_change(struct sock *sk, struct tcp_sock *tp, int in_process)
{
	struct settings *settings = settings_of();

	if (!settings)
		return 0;
	return in_process ? passes_filters(settings, sk, tp) : passes_without_process(settings, sk, tp);
}

INLINE int on_state(struct sock *sk, int old_state, int new_state)
{
	struct transition step = { .kind = kind_of(new_state), .old_state = old_state, .new_state = new_state };
	struct tcp_sock *tp;
	struct connection *c;
	struct cpu_state *cpu;
	u32 lane;

	if (!is_tcp(sk) || old_state == TCP_LISTEN || new_state == TCP_LISTEN)
		return 0;
	if (old_state == TCP_CLOSE && new_state == TCP_CLOSE)
		return 0;
	ensure_cookie(sk);
	tp = tcp_sock_of(sk);
	cpu = enter_lane(&lane);
	if (!cpu)
		return 0;
	c = find_connection(sk);
	if (new_state == TCP_SYN_SENT) {
		c = on_connecting(sk);
		if (c && admits_change(sk, tp, 1))
			start_watching(c, cpu);
	} else if (new_state == TCP_ESTABLISHED) {
		c = on_established(sk, tp, c);
		if (c && !(c->flags & (CONNECTION_WATCHED | CONNECTION_CONNECTOR)) && admits_change(sk, tp, 0))
			start_watching(c, cpu);
	}
	if (c && step.kind) {
		step.shutdown = LOAD(sk->sk_shutdown) & 3;
		note_change(sk, tp, c, step.kind);
		if (c->flags & CONNECTION_WATCHED)
			tell_change(cpu, lane, c, &step);
	}
	leave_lane(cpu);
	return 0;
}

INLINE int on_destroyed(struct sock *sk)
{
	struct transition step = { .kind = CHANGE_DESTROYED, .flags = CHANGED_ORPHANED, .shutdown = 3 };
	struct tcp_sock *tp;
	struct connection *c;
	struct cpu_state *cpu;
	u32 lane;

	if (!is_tcp(sk))
		return 0;
	c = find_connection(sk);
	if (!c)
		return 0;
	tp = tcp_sock_of(sk);
	cpu = enter_lane(&lane);
	if (!cpu)
		return 0;
	step.old_state = step.new_state = LOAD(sk->__sk_common.skc_state);
	note_change(sk, tp, c, CHANGE_DESTROYED);
	if (tp && (c->flags & CONNECTION_BASED))
		stream_position(c, tp, RECEIVED); /* nobody reads any more: what no call showed counts too */
	if ((c->flags & CONNECTION_WATCHED) && tell_change(cpu, lane, c, &step))
		keep_for_sweep(c, sk);
	else
		drop_connection(c, sk);
	leave_lane(cpu);
	return 0;
}

/* When TCP took up the segment that it announces: its own reading of CLOCK_MONOTONIC, which spares us one. */
INLINE u64 arrival_ns(struct tcp_sock *tp)
{
	u64 at_ns = tp ? LOAD(tp->tcp_clock_cache) : 0;

	return at_ns ? at_ns : monotonic_ns();
}

INLINE int on_ready(struct sock *sk)
{
	struct connection *c;
	u64 now;

	if (!is_tcp(sk))
		return 0;
	c = find_connection(sk);
	if (!c || (c->rejected && !(c->flags & CONNECTION_WATCHED)))
		return 0;
	now = arrival_ns(tcp_sock_of(sk));
	c->ready_last_ns = now;
	if (!c->ready_ns)
		c->ready_ns = now;
	return 0;
}

INLINE int on_reset(struct sock *sk)
{
	struct connection *c = is_tcp(sk) ? find_connection(sk) : NULL;

	if (c)
		c->flags |= CONNECTION_RESET;
	return 0;
}

INLINE int on_retransmit(struct sock *sk)
{
	struct connection *c = is_tcp(sk) ? find_connection(sk) : NULL;
	struct tcp_sock *tp;

	if (!c)
		return 0;
	tp = tcp_sock_of(sk);
	if (tp)
		c->retransmits = LOAD(tp->total_retrans);
	return 0;
}
