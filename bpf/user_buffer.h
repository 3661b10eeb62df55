/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * The bytes that a call moved, read from the caller's buffer after the kernel's own copy: faulted in, and exactly what
 * went over. What cannot be read is said (MOVED_UNREADABLE, MOVED_FAULT), never guessed.
 */
#pragma once

#define IOVEC_LIMIT 24

INLINE int is_flat(u64 number)
{
	return number == NR_SENDTO || number == NR_RECVFROM || number == NR_WRITE || number == NR_READ;
}

INLINE int is_multiple(u64 number)
{
	return number == NR_SENDMMSG || number == NR_RECVMMSG;
}

/* Rule: take the call from the registers only in a 64-bit user task inside a system call that we know. */
INLINE void read_call(struct call *call, struct pt_regs *regs, u32 length)
{
	struct task_struct *task = this_task();
	u64 number = SYSCALL_NUMBER(regs);

	call->length = length;
	call->messages = 0;
	call->flags = 0;
	call->readable = 0;
	call->number = number;
	if (LOAD(task->flags) & (PF_IO_WORKER_FLAG | PF_KTHREAD_FLAG) || TASK_IS_32BIT(task))
		return;
	if (number == NR_SENDTO || number == NR_RECVFROM || is_multiple(number))
		call->flags = SYSCALL_ARG4(regs);
	else if (number == NR_SENDMSG || number == NR_RECVMSG)
		call->flags = SYSCALL_ARG3(regs);
	call->readable = is_flat(number) || is_multiple(number) || number == NR_SENDMSG || number == NR_RECVMSG ||
			 number == NR_WRITEV || number == NR_READV || number == NR_PWRITEV2 || number == NR_PREADV2;
}

/* Peeked, urgent and error-queue bytes are no part of the stream that the process consumes. */
INLINE int moves_no_stream(struct call *call, u8 direction)
{
	if (call->flags & (MSG_OOB_FLAG | MSG_ERRQUEUE_FLAG))
		return 1;
	return direction == RECEIVED && (call->flags & MSG_PEEK_FLAG);
}

/* The smaller of both and CAPTURE_LIMIT, in one register: clang 14 else checks one register and uses another. */
INLINE u64 bounded(u64 n, u64 limit)
{
	n = n < limit ? n : limit;
	asm volatile("" : "+r"(n));
	return n < CAPTURE_LIMIT ? n : CAPTURE_LIMIT;
}

INLINE void note_fault(struct scratch *scratch, u32 reason)
{
	count_loss(reason);
	scratch->moved.flags |= MOVED_FAULT;
}

INLINE u32 copy_flat(struct scratch *scratch, const void *from, u32 wanted)
{
	u64 n = bounded(wanted, CAPTURE_LIMIT);

	if (!read_user(scratch->payload, n, from))
		return n;
	note_fault(scratch, LOSS_USER_BUFFER_FAULT);
	return 0;
}

INLINE int open_header(struct vector *vector, const struct user_msghdr *from)
{
	struct user_msghdr header;

	if (read_user(&header, sizeof(header), from))
		return -1;
	vector->parts = header.msg_iov;
	vector->count = header.msg_iovlen;
	return 0;
}

INLINE int open_message(struct vector *vector, const struct mmsghdr *from)
{
	u32 length = 0;

	if (open_header(vector, &from->msg_hdr) || read_user(&length, sizeof(length), &from->msg_len))
		return -1;
	vector->left = length;
	return 0;
}

/* One part of the vector, or the step to the next message. Returns 0 where there may be more. */
INLINE int copy_part(struct scratch *scratch, struct vector *vector)
{
	u64 have = vector->have & 16383, wanted = vector->wanted;
	struct iovec part;
	u64 n;

	if (have >= wanted)
		return -1;
	if (!vector->count || !vector->left) {
		if (!vector->more)
			return -1;
		vector->more--;
		if (!open_message(vector, vector->next++))
			return 0;
		note_fault(scratch, LOSS_USER_HEADER_FAULT);
		return -1;
	}
	if (read_user(&part, sizeof(part), vector->parts++)) {
		note_fault(scratch, LOSS_USER_IOVEC_FAULT);
		return -1;
	}
	vector->count--;
	n = part.iov_len < vector->left ? part.iov_len : vector->left;
	vector->left -= n;
	n = bounded(n, wanted - have);
	if (read_user(&scratch->payload[have], n, part.iov_base)) {
		note_fault(scratch, LOSS_USER_BUFFER_FAULT);
		return -1;
	}
	vector->have = have + n;
	return 0;
}

/* What a part leaves behind goes through memory: so the verifier sees one state a round, and not each that led there. */
INLINE u32 copy_vector(struct scratch *scratch)
{
	u32 i;

	for (i = 0; i < IOVEC_LIMIT; i++) {
		compiler_barrier();
		if (copy_part(scratch, &scratch->vector))
			return scratch->vector.have;
	}
	count_loss(LOSS_IOVEC_TOO_LONG);
	return scratch->vector.have;
}

/* Where sendmmsg and recvmmsg are seen at their exit, they return how many messages went over: together they are one
 * piece of the stream. */
INLINE u32 messages_length(struct pt_regs *regs, u32 count)
{
	struct mmsghdr *message = (struct mmsghdr *)SYSCALL_ARG2(regs);
	u32 total = 0, i;

	for (i = 0; i < IOVEC_LIMIT; i++) {
		u32 length = 0;

		if (i >= count)
			return total;
		if (read_user(&length, sizeof(length), &message[i].msg_len)) {
			count_loss(LOSS_USER_HEADER_FAULT);
			return total;
		}
		total += length;
	}
	return total;
}

/* sendmmsg and recvmmsg come here once per message with the same registers: count along. A recvmmsg that may have
 * returned early (WAITFORONE, non-blocking) and the next call on the same array look alike: then say so. */
INLINE int message_index(struct connection *c, struct call *call, u8 direction, u64 vector, u64 count, u32 *index)
{
	u32 tid = (u32)current_pid_tgid();
	int goes_on = c->vector == vector && c->vector_tid == tid && c->vector_index;

	*index = goes_on ? c->vector_index : 0;
	c->vector = vector;
	c->vector_tid = tid;
	c->vector_index = *index + 1 < count ? *index + 1 : 0;
	if (goes_on && direction == RECEIVED && (call->flags & (MSG_WAITFORONE_FLAG | MSG_DONTWAIT_FLAG))) {
		count_loss(LOSS_AMBIGUOUS_MESSAGE);
		return -1;
	}
	return 0;
}

/* Where the caller's buffers stand. Returns 0 where they are found. */
INLINE int find_vector(struct scratch *scratch, struct connection *c, struct pt_regs *regs, u8 direction)
{
	u64 argument = SYSCALL_ARG2(regs), count = SYSCALL_ARG3(regs);
	struct vector *vector = &scratch->vector;
	struct call *call = &scratch->call;
	u32 index = 0;

	vector->have = vector->more = vector->count = 0;
	vector->left = call->length;
	if (!is_multiple(call->number) && call->number != NR_SENDMSG && call->number != NR_RECVMSG) {
		vector->parts = (void *)argument;
		vector->count = count;
		return 0;
	}
	if (call->messages) {
		vector->next = (void *)argument;
		vector->more = call->messages;
		return 0;
	}
	if (is_multiple(call->number) && message_index(c, call, direction, argument, (u32)count, &index)) {
		scratch->moved.flags |= MOVED_UNREADABLE;
		return -1;
	}
	if (open_header(vector, &((struct mmsghdr *)argument + index)->msg_hdr)) {
		note_fault(scratch, LOSS_USER_HEADER_FAULT);
		return -1;
	}
	return 0;
}

INLINE u32 copy_payload(struct scratch *scratch, struct connection *c, struct pt_regs *regs, u8 direction)
{
	u32 length = scratch->call.length;
	u64 wanted = length < CAPTURE_LIMIT ? length : CAPTURE_LIMIT;

	if (is_flat(scratch->call.number))
		return copy_flat(scratch, (void *)SYSCALL_ARG2(regs), wanted);
	scratch->vector.wanted = wanted;
	if (find_vector(scratch, c, regs, direction))
		return 0;
	return copy_vector(scratch);
}
