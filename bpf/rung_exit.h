/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 4: the end of every system call, and a walk from the file descriptor to its socket. Works wherever raw
 * tracepoints do; costs something on every system call of the host; does not see io_uring.
 */
#pragma once

#define MESSAGE_LIMIT 16
#define FILE_TYPE_MASK 0170000
#define FILE_TYPE_SOCKET 0140000

INLINE struct sock *sock_of_descriptor(u32 descriptor)
{
	struct task_struct *task = (struct task_struct *)current_task_btf();
	struct files_struct *files = LOAD(task->files);
	struct fdtable *table = LOAD(files->fdt);
	struct file **slots = LOAD(table->fd);
	struct socket *socket;
	struct inode *inode;
	struct file *file;

	if (!files || descriptor >= LOAD(table->max_fds))
		return NULL;
	file = LOAD(slots[descriptor]);
	if (!file)
		return NULL;
	inode = LOAD(file->f_inode);
	if ((LOAD(inode->i_mode) & FILE_TYPE_MASK) != FILE_TYPE_SOCKET)
		return NULL;
	socket = LOAD(file->private_data);
	if (!socket)
		return NULL;
	return LOAD(socket->sk);
}

INLINE int sends(u64 number)
{
	return number == NR_SENDTO || number == NR_WRITE || number == NR_SENDMSG || number == NR_WRITEV ||
	       number == NR_PWRITEV2 || number == NR_SENDMMSG || number == NR_SENDFILE;
}

INLINE int receives(u64 number)
{
	return number == NR_RECVFROM || number == NR_READ || number == NR_RECVMSG || number == NR_READV ||
	       number == NR_PREADV2 || number == NR_RECVMMSG || number == NR_SPLICE;
}

/* sendmmsg and recvmmsg return how many messages went over: together they are one piece of the stream. */
INLINE u32 messages_length(u64 vector, u32 count)
{
	struct mmsghdr *message = (struct mmsghdr *)vector;
	u32 total = 0, i;

	for (i = 0; i < MESSAGE_LIMIT; i++) {
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

INLINE struct sock *socket_of_call(struct call *call, struct pt_regs *regs)
{
	struct sock *sk;

	call->direction = sends(call->number) ? SENT : RECEIVED;
	sk = sock_of_descriptor(SYSCALL_ARG1(regs));
	if (sk || call->number != NR_SPLICE)
		return sk;
	call->direction = SENT;
	return sock_of_descriptor(SYSCALL_ARG3(regs));
}

PROGRAM(sys_exit)(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	struct call call = { .length = (u32)ctx[1] };
	u64 number = SYSCALL_NUMBER(regs);
	struct sock *sk;

	if ((long)ctx[1] <= 0 || (!sends(number) && !receives(number)))
		return 0;
	if (TASK_IS_32BIT((struct task_struct *)current_task_btf()))
		return 0;
	read_call(&call, regs);
	call.number = number;
	sk = socket_of_call(&call, regs);
	if (!sk || !is_tcp(sk) || moves_no_stream(&call))
		return 0;
	if (is_multiple(number)) {
		call.messages = call.length;
		call.length = messages_length(SYSCALL_ARG2(regs), call.messages);
	}
	return on_call(sk, &call);
}
