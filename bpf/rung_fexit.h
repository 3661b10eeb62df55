/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 2: the exit of tcp_sendmsg and tcp_recvmsg through BPF trampolines, and of tcp_sendpage where sendfile goes that
 * way (before 6.5). ctx holds the arguments and, behind them, the return value; how many arguments there are differs by
 * kernel and comes from BTF (SENDMSG_ARGUMENTS, ...).
 */
#pragma once

PROGRAM(tcp_sendmsg)(u64 *ctx)
{
	return on_bytes((struct sock *)ctx[0], user_registers(), (int)ctx[SENDMSG_ARGUMENTS], SENT);
}

PROGRAM(tcp_recvmsg)(u64 *ctx)
{
	return on_bytes((struct sock *)ctx[0], user_registers(), (int)ctx[RECVMSG_ARGUMENTS], RECEIVED);
}

#ifdef SENDPAGE_ARGUMENTS
PROGRAM(tcp_sendpage)(u64 *ctx)
{
	return on_bytes((struct sock *)ctx[0], user_registers(), (int)ctx[SENDPAGE_ARGUMENTS], SENT);
}
#endif

#ifdef TWICE
PROGRAM(tcp_sendmsg_again)(u64 *ctx)
{
	return on_bytes_again((struct sock *)ctx[0], user_registers(), (int)ctx[SENDMSG_ARGUMENTS], SENT);
}

PROGRAM(tcp_recvmsg_again)(u64 *ctx)
{
	return on_bytes_again((struct sock *)ctx[0], user_registers(), (int)ctx[RECVMSG_ARGUMENTS], RECEIVED);
}
#endif
