/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 1, Linux >= 6.3: the tracepoints sock_send_length and sock_recv_length fire in the task that moved the bytes,
 * with the real return value, after the copy.
 */
#pragma once

PROGRAM(sock_send_length)(u64 *ctx)
{
	return on_bytes((struct sock *)ctx[0], user_registers(), (int)ctx[1], SENT);
}

PROGRAM(sock_recv_length)(u64 *ctx)
{
	return on_bytes((struct sock *)ctx[0], user_registers(), (int)ctx[1], RECEIVED);
}

#ifdef TWICE
PROGRAM(sock_send_length_again)(u64 *ctx)
{
	return on_bytes_again((struct sock *)ctx[0], user_registers(), (int)ctx[1], SENT);
}

PROGRAM(sock_recv_length_again)(u64 *ctx)
{
	return on_bytes_again((struct sock *)ctx[0], user_registers(), (int)ctx[1], RECEIVED);
}
#endif
