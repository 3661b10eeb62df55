/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Rung 4: the end of every system call, and a walk from the file descriptor to its socket. Works wherever raw
 * tracepoints do; costs something on every system call of the host; does not see io_uring.
 */
#pragma once

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

PROGRAM(sys_exit)(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	u64 number = SYSCALL_NUMBER(regs);
	u8 direction = sends(number) ? SENT : RECEIVED;
	struct sock *sk;

	if ((long)ctx[1] <= 0 || (direction == RECEIVED && !receives(number)))
		return 0;
	if (TASK_IS_32BIT((struct task_struct *)current_task_btf()))
		return 0;
	sk = sock_of_descriptor(SYSCALL_ARG1(regs));
	if (!sk && number == NR_SPLICE) {
		direction = SENT;
		sk = sock_of_descriptor(SYSCALL_ARG3(regs));
	}
	return sk ? on_bytes(sk, regs, (int)ctx[1], direction) : 0;
}
