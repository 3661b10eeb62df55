/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Which connections are watched, decided in the kernel: by process, command name, cgroup (v2, with its descendants) and port.
 */
#pragma once

INLINE int matches_process(struct task_struct *leader, u32 pid)
{
	return map_lookup(MAP(MAP_PROCESSES), &pid) != NULL;
}

INLINE int matches_comm(struct task_struct *leader)
{
	char comm[COMM_SIZE] = {};

	read_kernel(comm, COMM_SIZE, leader->comm);
	if (map_lookup(MAP(MAP_COMMS), comm))
		return 1;
	current_comm(comm, COMM_SIZE);
	return map_lookup(MAP(MAP_COMMS), comm) != NULL;
}

/* The ID of this task's cgroup v2 at `level`, counted from the root; 0 below its own. */
INLINE u64 cgroup_at(int level)
{
#if defined(HAS_TASK_HELPERS) || defined(HAS_ANCESTOR_HELPER)
	return current_ancestor_cgroup_id(level);
#else
	struct css_set *set = LOAD(this_task()->cgroups);
	struct cgroup *own = LOAD(set->dfl_cgrp);

	return level <= LOAD(own->level) ? LOAD(own->ancestor_ids[level]) : 0;
#endif
}

INLINE int matches_cgroup(void)
{
#pragma unroll
	for (int level = 0; level < 12; level++) {
		u64 id = cgroup_at(level);

		if (!id)
			return 0;
		if (map_lookup(MAP(MAP_CGROUPS), &id))
			return 1;
	}
	return 0;
}

INLINE int matches_port(struct sock *sk, struct tcp_sock *tp)
{
	u32 local = LOAD(sk->__sk_common.skc_num);
	u32 peer = swap16(LOAD(sk->__sk_common.skc_dport));

	if (!local && tp)
		local = swap16(LOAD(tp->inet_conn.icsk_inet.inet_sport));
	return map_lookup(MAP(MAP_PORTS), &local) || map_lookup(MAP(MAP_PORTS), &peer);
}

INLINE struct settings *settings_of(void)
{
	u32 zero = 0;

	return map_lookup(MAP(MAP_SETTINGS), &zero);
}

INLINE int is_observer(struct settings *settings)
{
	u32 pid = current_pid_tgid() >> 32;

#pragma unroll
	for (int i = 0; i < EXCLUDED_PIDS; i++)
		if (settings->excluded[i] == pid)
			return 1;
	return 0;
}

/* In the context of the process that uses the socket. */
INLINE int passes_filters(struct settings *settings, struct sock *sk, struct tcp_sock *tp)
{
	struct task_struct *task, *leader;

	if (is_observer(settings))
		return 0;
	if (!settings->filters)
		return 1;
	task = this_task();
	leader = LOAD(task->group_leader);
	if ((settings->filters & FILTER_PROCESS) && !matches_process(leader, current_pid_tgid() >> 32))
		return 0;
	if ((settings->filters & FILTER_PORT) && !matches_port(sk, tp))
		return 0;
	if ((settings->filters & FILTER_COMM) && !matches_comm(leader))
		return 0;
	if ((settings->filters & FILTER_CGROUP) && !matches_cgroup())
		return 0;
	return 1;
}

/* In softirq, where the process is not known: only ports can decide. */
INLINE int passes_without_process(struct settings *settings, struct sock *sk, struct tcp_sock *tp)
{
	if (settings->filters & ~FILTER_PORT)
		return 0;
	return !(settings->filters & FILTER_PORT) || matches_port(sk, tp);
}
