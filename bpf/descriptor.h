/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * From a system call to the socket it works on: which calls move bytes, which way, and the walk from the descriptor.
 */
#pragma once

#define FILE_TYPE_MASK 0170000
#define FILE_TYPE_SOCKET 0140000

INLINE struct sock *sock_of_descriptor(u32 descriptor)
{
	struct task_struct *task = this_task();
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

/* The socket of a call that may move bytes, and the direction; NULL where it is none of ours. */
INLINE struct sock *sock_of_call(struct pt_regs *regs, u64 number, u8 *direction)
{
	struct sock *sk;

	*direction = sends(number) ? SENT : RECEIVED;
	if ((*direction == RECEIVED && !receives(number)) || TASK_IS_32BIT(this_task()))
		return NULL;
	sk = sock_of_descriptor(SYSCALL_ARG1(regs));
	if (sk || number != NR_SPLICE)
		return sk;
	*direction = SENT;
	return sock_of_descriptor(SYSCALL_ARG3(regs));
}
