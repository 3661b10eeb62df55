/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 2: the exit of tcp_sendmsg and tcp_recvmsg through BPF trampolines. ctx holds the arguments and, behind them,
 * the return value; how many arguments there are differs by kernel and comes from BTF (SENDMSG_ARGUMENTS, ...).
 */
#pragma once

PROGRAM(tcp_sendmsg)(u64 *ctx)
{
	return on_bytes((struct sock *)ctx[0], (struct pt_regs *)task_pt_regs(current_task_btf()),
			(int)ctx[SENDMSG_ARGUMENTS], SENT);
}

PROGRAM(tcp_recvmsg)(u64 *ctx)
{
	return on_bytes((struct sock *)ctx[0], (struct pt_regs *)task_pt_regs(current_task_btf()),
			(int)ctx[RECVMSG_ARGUMENTS], RECEIVED);
}
