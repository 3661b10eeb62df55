/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 4: the end of every system call, and a walk from the file descriptor to its socket. Works wherever raw
 * tracepoints do; costs something on every system call of the host; does not see io_uring.
 */
#pragma once

#include "descriptor.h"

INLINE struct sock *sock_of_exit(u64 *ctx, u8 *direction)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];

	return (long)ctx[1] > 0 ? sock_of_call(regs, SYSCALL_NUMBER(regs), direction) : NULL;
}

PROGRAM(sys_exit)(u64 *ctx)
{
	u8 direction;
	struct sock *sk = sock_of_exit(ctx, &direction);

	return sk ? on_bytes(sk, (struct pt_regs *)ctx[0], (int)ctx[1], direction) : 0;
}

#ifdef TWICE
PROGRAM(sys_exit_again)(u64 *ctx)
{
	u8 direction;
	struct sock *sk = sock_of_exit(ctx, &direction);

	return sk ? on_bytes_again(sk, (struct pt_regs *)ctx[0], (int)ctx[1], direction) : 0;
}
#endif
