/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 3: kprobes at the entry of tcp_sendmsg and tcp_recvmsg keep the socket for the kretprobe at the return; of
 * tcp_sendpage too, where sendfile goes that way (before 6.5).
 */
#pragma once

#if defined(TARGET_X86_64)
#define KPROBE_ARG1(regs) ((regs)->di)
#define KPROBE_RESULT(regs) ((regs)->ax)
#else
#define KPROBE_ARG1(regs) ((regs)->regs[0])
#define KPROBE_RESULT(regs) ((regs)->regs[0])
#endif

INLINE int keep_socket(struct pt_regs *regs, u8 direction)
{
	u64 key = current_pid_tgid() << 1 | direction;
	u64 sk = KPROBE_ARG1(regs);
	u32 loss;

	if (!map_update(MAP(MAP_CALLS), &key, &sk, MAP_NOEXIST))
		return 0;
	/* The thread's last call has not returned, for us: more were under way than the kernel keeps return probes for. */
	loss = map_update(MAP(MAP_CALLS), &key, &sk, MAP_ANY) ? LOSS_CALL_TABLE_FULL : LOSS_RETURN_MISSED;
	if (is_tcp((struct sock *)sk) && is_observed((struct sock *)sk, find_connection((struct sock *)sk)))
		count_loss(loss);
	return 0;
}

INLINE int on_return(struct pt_regs *regs, u8 direction)
{
	u64 key = current_pid_tgid() << 1 | direction;
	u64 *sk = map_lookup(MAP(MAP_CALLS), &key);
	struct sock *socket;

	if (!sk)
		return 0;
	socket = (struct sock *)*sk;
	map_delete(MAP(MAP_CALLS), &key);
	return on_bytes(socket, user_registers(), (int)KPROBE_RESULT(regs), direction);
}

PROGRAM(enter_tcp_sendmsg)(struct pt_regs *ctx)
{
	return keep_socket(ctx, SENT);
}

PROGRAM(enter_tcp_recvmsg)(struct pt_regs *ctx)
{
	return keep_socket(ctx, RECEIVED);
}

PROGRAM(return_tcp_sendmsg)(struct pt_regs *ctx)
{
	return on_return(ctx, SENT);
}

PROGRAM(return_tcp_recvmsg)(struct pt_regs *ctx)
{
	return on_return(ctx, RECEIVED);
}

#ifdef SENDPAGE_ARGUMENTS
PROGRAM(enter_tcp_sendpage)(struct pt_regs *ctx)
{
	return keep_socket(ctx, SENT);
}

PROGRAM(return_tcp_sendpage)(struct pt_regs *ctx)
{
	return on_return(ctx, SENT);
}
#endif
