/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Connections: found, made, and told of. A record that finds no room in the ring is counted and leaves a hole in its
 * CPU's sequence; the totals stay in the map.
 */
#pragma once

#define SOCK_DONE_BIT 1 /* enum sock_flags: set when FIN came in */

INLINE u32 fin_received(struct tcp_sock *tp)
{
	return (LOAD(tp->inet_conn.icsk_inet.sk.__sk_common.skc_flags) >> SOCK_DONE_BIT) & 1;
}

/* FIN takes one sequence number, and a read that meets it moves over it. */
INLINE u32 received_sequence(struct tcp_sock *tp)
{
	u32 sequence = LOAD(tp->copied_seq);

	return fin_received(tp) && sequence == LOAD(tp->rcv_nxt) ? sequence - 1 : sequence;
}

INLINE u64 stream_position(struct connection *c, struct tcp_sock *tp, u8 direction)
{
	u32 sequence = direction == SENT ? LOAD(tp->write_seq) : received_sequence(tp);

	c->end[direction & 1] += (u32)(sequence - c->sequence[direction & 1]);
	c->sequence[direction & 1] = sequence;
	return c->end[direction & 1];
}

/* Stream offsets count from here. */
INLINE void base_streams(struct connection *c, struct tcp_sock *tp)
{
	c->sequence[SENT] = LOAD(tp->write_seq);
	c->sequence[RECEIVED] = received_sequence(tp);
	c->flags |= CONNECTION_BASED;
}

/* Where sockets are typed, the entry stands at the socket: no cookie to fetch, nothing to hash, freed with it. */
#ifdef SOCKET_STORAGE

INLINE struct connection *find_connection(struct sock *sk)
{
	return storage_get(MAP(MAP_SOCKETS), sk, NULL, 0);
}

INLINE struct connection *make_connection(struct sock *sk)
{
	struct connection *made = storage_get(MAP(MAP_SOCKETS), sk, NULL, STORAGE_CREATE);

	if (!made)
		count_loss(LOSS_CONNECTION_TABLE_FULL);
	else if (!made->cookie)
		made->cookie = socket_cookie(sk);
	return made;
}

/* The last record was lost: the totals go where user space finds them. */
INLINE void keep_for_sweep(struct connection *c, struct sock *sk)
{
	c->flags |= CONNECTION_GONE;
	if (map_update(MAP(MAP_CONNECTIONS), &c->cookie, c, MAP_ANY))
		count_loss(LOSS_CONNECTION_TABLE_FULL);
}

INLINE void drop_connection(struct connection *c, struct sock *sk)
{
}

/* Before 5.12 tracing programs can give a socket no cookie: its address names it until it is destroyed, and the
 * connection gets a number of ours. */
#elif defined(IDENTITY_BY_ADDRESS)

#define NUMBERS_PER_CPU (1ULL << 40)

INLINE struct connection *find_connection(struct sock *sk)
{
	u64 address = (u64)sk;

	return map_lookup(MAP(MAP_CONNECTIONS), &address);
}

INLINE struct connection *make_connection(struct sock *sk)
{
	u64 address = (u64)sk;
	struct cpu_state *cpu = this_cpu();
	struct connection *blank, *made;
	u32 zero = 0;

	blank = map_lookup(MAP(MAP_BLANK), &zero);
	if (blank)
		map_update(MAP(MAP_CONNECTIONS), &address, blank, MAP_NOEXIST); /* another CPU may have been first */
	made = map_lookup(MAP(MAP_CONNECTIONS), &address);
	if (!made)
		count_loss(LOSS_CONNECTION_TABLE_FULL);
	else if (!made->cookie && cpu)
		made->cookie = smp_processor_id() * NUMBERS_PER_CPU + ++cpu->identities;
	return made;
}

INLINE void drop_connection(struct connection *c, struct sock *sk)
{
	u64 address = (u64)sk;

	if (map_delete(MAP(MAP_CONNECTIONS), &address))
		count_loss(LOSS_CONNECTION_DELETE);
}

/* The address is free for the next socket: kept by its number, which is no kernel address. */
INLINE void keep_for_sweep(struct connection *c, struct sock *sk)
{
	c->flags |= CONNECTION_GONE;
	if (map_update(MAP(MAP_CONNECTIONS), &c->cookie, c, MAP_ANY))
		count_loss(LOSS_CONNECTION_TABLE_FULL);
	drop_connection(c, sk);
}

#else

INLINE struct connection *find_connection(struct sock *sk)
{
	u64 cookie = cookie_of(sk);

	return cookie ? map_lookup(MAP(MAP_CONNECTIONS), &cookie) : NULL;
}

INLINE struct connection *make_connection(struct sock *sk)
{
	u64 cookie = cookie_of(sk);
	struct connection *blank, *made;
	u32 zero = 0;

	if (!cookie) {
		count_loss(LOSS_NO_COOKIE);
		return NULL;
	}
	blank = map_lookup(MAP(MAP_BLANK), &zero);
	if (blank)
		map_update(MAP(MAP_CONNECTIONS), &cookie, blank, MAP_NOEXIST); /* another CPU may have been first */
	made = map_lookup(MAP(MAP_CONNECTIONS), &cookie);
	if (!made)
		count_loss(LOSS_CONNECTION_TABLE_FULL);
	else
		made->cookie = cookie;
	return made;
}

INLINE void keep_for_sweep(struct connection *c, struct sock *sk)
{
	c->flags |= CONNECTION_GONE;
}

INLINE void drop_connection(struct connection *c, struct sock *sk)
{
	u64 cookie = c->cookie;

	if (map_delete(MAP(MAP_CONNECTIONS), &cookie))
		count_loss(LOSS_CONNECTION_DELETE);
}

#endif

INLINE void start_watching(struct connection *c, struct cpu_state *cpu)
{
	c->flags |= CONNECTION_WATCHED;
	cpu->connections++;
}

INLINE u8 change_flags(struct connection *c)
{
	u8 flags = 0;

	if (c->flags & CONNECTION_JOINED)
		flags |= CHANGED_JOINED;
	if (c->flags & CONNECTION_RESET)
		flags |= CHANGED_RESET_RECEIVED;
	if (c->flags & CONNECTION_CONNECTOR)
		flags |= CHANGED_CONNECTOR;
	return flags;
}

struct transition {
	u8 kind;
	u8 old_state;
	u8 new_state;
	u8 shutdown;
	u8 flags;
};

/* Returns 0 where the record is in the ring. */
INLINE long tell_change(struct cpu_state *cpu, u32 lane, struct connection *c, struct transition *step)
{
	struct changed *record = ring_reserve(MAP(MAP_EVENTS), sizeof(struct changed), 0);

	if (!record) {
		cpu->sequence[lane & (CPU_LANES - 1)]++; /* the hole that proves the loss */
		count_loss(LOSS_RING_FULL_CHANGED);
		return -1;
	}
	fill_head(&record->head, cpu, lane, RECORD_CHANGED, sizeof(struct changed), monotonic_ns());
	record->connection = c->cookie;
	record->connect_ns = c->connect_ns;
	record->established_ns = c->established_ns;
	record->sent_bytes = c->end[SENT];
	record->received_bytes = c->end[RECEIVED];
	record->peer_end = c->peer_end;
	record->sent_calls = c->calls[SENT];
	record->received_calls = c->calls[RECEIVED];
	record->segments_out = c->segments[0];
	record->segments_in = c->segments[1];
	record->exchanges = c->exchanges;
	record->retransmits = c->retransmits;
	record->srtt_us = c->srtt_us;
	record->min_rtt_us = c->min_rtt_us;
	record->error = c->error;
	record->kind = step->kind;
	record->old_state = step->old_state;
	record->new_state = step->new_state;
	record->shutdown = step->shutdown;
	record->flags = step->flags | change_flags(c);
	__builtin_memset(record->reserved, 0, sizeof(record->reserved));
	record->task = c->task;
	record->ends = c->ends;
	ring_submit(record, RING_NO_WAKEUP);
	return 0;
}
