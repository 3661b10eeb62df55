/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Small named helpers over the kernel: loads, counters, lanes, identities.
 */
#pragma once

#define INLINE static inline __attribute__((always_inline))

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif
#define PROTOCOL_TCP 6
#define PROTOCOL_MPTCP 262

/* On rungs whose pointers carry BTF the verifier allows plain loads; elsewhere every load is a probe read. */
#ifdef PLAIN_LOADS
#define LOAD(lvalue) (lvalue)
#else
#define LOAD(lvalue)                                                                                                   \
	({                                                                                                             \
		typeof(lvalue) loaded_; /* a failed read leaves zeros */                                               \
		read_kernel(&loaded_, sizeof(loaded_), (void *)&(lvalue));                                             \
		loaded_;                                                                                               \
	})
#endif

INLINE struct task_struct *this_task(void)
{
#ifdef HAS_TASK_HELPERS
	return current_task_btf();
#else
	return (struct task_struct *)current_task();
#endif
}

/* The user's registers, as the system call found them. */
INLINE struct pt_regs *user_registers(void)
{
#ifdef HAS_TASK_HELPERS
	return (struct pt_regs *)task_pt_regs(current_task_btf());
#else /* task_pt_regs() of arch/{x86,arm64}/include/asm/processor.h; the canary proves the place */
	return (struct pt_regs *)(LOAD(this_task()->stack) + KERNEL_STACK_SIZE) - 1;
#endif
}

INLINE struct cpu_state *this_cpu(void)
{
	u32 cpu = smp_processor_id();

	return map_lookup(MAP(MAP_CPUS), &cpu);
}

INLINE void count_loss(u32 reason)
{
	struct cpu_state *cpu = this_cpu();

	if (cpu && reason < LOSS_REASONS)
		__sync_fetch_and_add(&cpu->losses[reason], 1);
}

/* Where the kernel lets another task run while a program of ours is under way, it may not between these two. */
INLINE void hold_cpu(void)
{
#ifdef PREEMPTIBLE
	preempt_disable();
#endif
}

INLINE void release_cpu(void)
{
#ifdef PREEMPTIBLE
	preempt_enable();
#endif
}

/* Programs on one CPU only nest (task < softirq < hardirq < NMI), so depth++ needs no atomicity: whoever interrupts
 * has left again before we go on. Returns NULL where no lane is free. Every enter has its leave. */
INLINE struct cpu_state *enter_lane(u32 *lane)
{
	struct cpu_state *cpu;

	hold_cpu();
	cpu = this_cpu();
	if (!cpu) {
		release_cpu();
		return NULL;
	}
	*lane = cpu->depth;
	if (*lane >= CPU_LANES) {
		__sync_fetch_and_add(&cpu->losses[LOSS_NESTED_TOO_DEEP], 1);
		release_cpu();
		return NULL;
	}
	cpu->depth = *lane + 1;
	compiler_barrier();
	return cpu;
}

INLINE void leave_lane(struct cpu_state *cpu)
{
	compiler_barrier();
	cpu->depth = cpu->depth - 1;
	release_cpu();
}

INLINE void fill_head(struct record_head *head, struct cpu_state *cpu, u32 lane, u8 kind, u32 size, u64 now)
{
	head->kind = kind;
	head->lane = lane;
	head->cpu = smp_processor_id();
	head->size = size;
	head->sequence = cpu->sequence[lane & (CPU_LANES - 1)]++;
	head->at_ns = now;
}

INLINE int is_tcp(struct sock *sk)
{
	u16 family = LOAD(sk->__sk_common.skc_family);
	u16 protocol;

	if (family != AF_INET && family != AF_INET6)
		return 0;
	protocol = LOAD(sk->sk_protocol);
#ifdef IDENTITY_BY_ADDRESS
	return protocol == PROTOCOL_TCP; /* the end of a Multipath TCP socket would not be seen */
#else
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_MPTCP;
#endif
}

INLINE struct tcp_sock *tcp_sock_of(struct sock *sk)
{
#ifdef PLAIN_LOADS
	return skc_to_tcp_sock(sk);
#else
	return LOAD(sk->sk_protocol) == PROTOCOL_TCP ? (struct tcp_sock *)sk : NULL;
#endif
}

INLINE u64 cookie_of(struct sock *sk)
{
	return LOAD(sk->__sk_common.skc_cookie.counter);
}

/* In tracepoints the socket is typed on every rung: there it gets its cookie if it has none yet. */
INLINE void ensure_cookie(struct sock *sk)
{
#if !defined(SOCKET_STORAGE) && !defined(IDENTITY_BY_ADDRESS)
	socket_cookie(sk);
#endif
}

INLINE void fill_task(struct task_identity *identity)
{
	struct task_struct *task = this_task();
	struct task_struct *leader = LOAD(task->group_leader);
	u64 ids = current_pid_tgid();

	identity->pid = ids >> 32;
	identity->tid = (u32)ids;
	identity->uid = (u32)current_uid_gid();
	identity->cgroup_id = current_cgroup_id();
	identity->started_ns = LOAD(leader->start_boottime);
	identity->exec_id = LOAD(leader->self_exec_id);
	read_kernel(identity->comm, COMM_SIZE, leader->comm);
}

/* The same thread of the same program as before? */
INLINE int is_task(struct task_identity *identity)
{
	struct task_struct *task = this_task();
	struct task_struct *leader = LOAD(task->group_leader);

	return identity->tid == LOAD(task->pid) && identity->exec_id == LOAD(leader->self_exec_id) &&
	       identity->started_ns == LOAD(leader->start_boottime);
}

INLINE void fill_v4(u8 *to, u32 address)
{
	*(u64 *)to = 0;
	*(u32 *)(to + 8) = 0xffff0000; /* bytes 00 00 ff ff */
	*(u32 *)(to + 12) = address;
}

INLINE void fill_ends(struct endpoints *ends, struct sock *sk, struct tcp_sock *tp)
{
	u16 family = LOAD(sk->__sk_common.skc_family);
	u16 local_port = LOAD(sk->__sk_common.skc_num);

	if (!local_port && tp) /* after CLOSE the kernel has put the port back, but the header field still holds it */
		local_port = swap16(LOAD(tp->inet_conn.icsk_inet.inet_sport));
	if (local_port)
		ends->local_port = local_port;
	ends->peer_port = swap16(LOAD(sk->__sk_common.skc_dport));
	ends->family = family;
	ends->reserved = 0;
	if (family == AF_INET) {
		fill_v4(ends->local, LOAD(sk->__sk_common.skc_rcv_saddr));
		fill_v4(ends->peer, LOAD(sk->__sk_common.skc_daddr));
	} else {
		read_kernel(ends->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		read_kernel(ends->peer, 16, &sk->__sk_common.skc_v6_daddr);
	}
}

INLINE void load_tcp_facts(struct connection *c, struct tcp_sock *tp)
{
	c->srtt_us = LOAD(tp->srtt_us) >> 3;
	c->min_rtt_us = LOAD(tp->rtt_min.s[0].v);
	c->retransmits = LOAD(tp->total_retrans);
	c->segments[0] = LOAD(tp->segs_out);
	c->segments[1] = LOAD(tp->segs_in);
}
