/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * The tracepoints that every rung shares. Thin entries.
 */
#pragma once

PROGRAM(inet_sock_set_state)(u64 *ctx)
{
	return on_state((struct sock *)ctx[0], (int)ctx[1], (int)ctx[2]);
}

PROGRAM(tcp_destroy_sock)(u64 *ctx)
{
	return on_destroyed((struct sock *)ctx[0]);
}

PROGRAM(tcp_receive_reset)(u64 *ctx)
{
	return on_reset((struct sock *)ctx[0]);
}

PROGRAM(tcp_retransmit_skb)(u64 *ctx)
{
	return on_retransmit((struct sock *)ctx[0]);
}

#ifdef HAS_DATA_READY
PROGRAM(sk_data_ready)(u64 *ctx)
{
	return on_ready((struct sock *)ctx[0]);
}
#endif

PROGRAM(sched_process_exit)(u64 *ctx)
{
	return on_exit_of((struct task_struct *)ctx[0]);
}

#ifdef FOLLOW_CHILDREN
PROGRAM(sched_process_fork)(u64 *ctx)
{
	return on_fork((struct task_struct *)ctx[0], (struct task_struct *)ctx[1]);
}
#endif

#ifdef SOCKET_STORAGE
/* Tells every watched connection to whoever reads the iterator. */
PROGRAM(bpf_sk_storage_map)(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct connection *c = ctx->value;

	if (c && (c->flags & CONNECTION_WATCHED))
		seq_write(ctx->meta->seq, c, sizeof(*c));
	return 0;
}
#endif
