/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * The watched processes: children follow where asked for, and a number is given up when its process ends.
 */
#pragma once

INLINE int on_fork(struct task_struct *parent, struct task_struct *child)
{
	u32 parent_pid = LOAD(parent->tgid), child_pid = LOAD(child->tgid);
	u8 *mode = map_lookup(MAP(MAP_PROCESSES), &parent_pid);
	u8 follow = PROCESS_AND_CHILDREN;

	if (!mode || *mode != PROCESS_AND_CHILDREN || parent_pid == child_pid)
		return 0;
	if (map_update(MAP(MAP_PROCESSES), &child_pid, &follow, MAP_ANY))
		count_loss(LOSS_PROCESS_TABLE_FULL);
	return 0;
}

/* A process that ended leaves the table, so that the next one with its number is not taken for it. */
INLINE int on_exit_of(struct task_struct *task)
{
	u32 pid = LOAD(task->pid), process = LOAD(task->tgid);

	if (pid == process)
		map_delete(MAP(MAP_PROCESSES), &process);
	return 0;
}
