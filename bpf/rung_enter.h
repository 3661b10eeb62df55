/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 5: both ends of every system call. The socket is found at the start, so that a descriptor which another thread
 * closes meanwhile is no blind spot; a call that was under way when the watch began is not seen.
 */
#pragma once

#include "descriptor.h"

#define CALL_DIRECTION 1ULL /* the lowest bit of the kept address */

INLINE int on_enter(u64 *ctx)
{
	u64 key = current_pid_tgid(), call;
	struct sock *sk;
	u8 direction;

	sk = sock_of_call((struct pt_regs *)ctx[0], ctx[1], &direction);
	if (!sk || !is_tcp(sk))
		return 0;
	call = (u64)sk | direction;
	if (map_update(MAP(MAP_CALLS), &key, &call, MAP_ANY))
		count_loss(LOSS_CALL_TABLE_FULL);
	return 0;
}

/* Whoever comes first takes the call from the table. */
INLINE int on_exit(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	u64 number = SYSCALL_NUMBER(regs), key = current_pid_tgid(), *call, kept;

	if (!sends(number) && !receives(number))
		return 0;
	call = map_lookup(MAP(MAP_CALLS), &key);
	if (!call)
		return 0;
	kept = *call;
	map_delete(MAP(MAP_CALLS), &key);
	return on_bytes_of(ONLY_COPY, (struct sock *)(kept & ~CALL_DIRECTION), regs, (int)ctx[1],
			   kept & CALL_DIRECTION);
}

PROGRAM(sys_enter)(u64 *ctx)
{
	return on_enter(ctx);
}

PROGRAM(sys_exit)(u64 *ctx)
{
	return on_exit(ctx);
}

#ifdef TWICE
PROGRAM(sys_enter_again)(u64 *ctx)
{
	return on_enter(ctx);
}

PROGRAM(sys_exit_again)(u64 *ctx)
{
	return on_exit(ctx);
}
#endif
