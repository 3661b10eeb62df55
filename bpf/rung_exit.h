/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 4: the end of every system call, and a walk from the file descriptor to its socket. Works wherever raw
 * tracepoints do; costs something on every system call of the host; does not see io_uring.
 */
#pragma once

#include "descriptor.h"

PROGRAM(sys_exit)(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	struct sock *sk;
	u8 direction;

	if ((long)ctx[1] <= 0)
		return 0;
	sk = sock_of_call(regs, SYSCALL_NUMBER(regs), &direction);
	return sk ? on_bytes(sk, regs, (int)ctx[1], direction) : 0;
}
