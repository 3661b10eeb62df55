/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * Where a system call's number and arguments stand in the saved user registers, and the numbers that matter here.
 */
#pragma once

#if defined(TARGET_X86_64)
#define SYSCALL_NUMBER(regs) LOAD((regs)->orig_ax)
#define SYSCALL_ARG1(regs) LOAD((regs)->di)
#define SYSCALL_ARG2(regs) LOAD((regs)->si)
#define SYSCALL_ARG3(regs) LOAD((regs)->dx)
#define SYSCALL_ARG4(regs) LOAD((regs)->r10)
#define TASK_IS_32BIT(task) (LOAD((task)->thread_info.status) & 2 /* TS_COMPAT */)
enum {
	NR_READ = 0,
	NR_WRITE = 1,
	NR_READV = 19,
	NR_WRITEV = 20,
	NR_SENDFILE = 40,
	NR_SENDTO = 44,
	NR_RECVFROM = 45,
	NR_SENDMSG = 46,
	NR_RECVMSG = 47,
	NR_SPLICE = 275,
	NR_RECVMMSG = 299,
	NR_SENDMMSG = 307,
	NR_PREADV2 = 327,
	NR_PWRITEV2 = 328,
};
#elif defined(TARGET_ARM64)
#define SYSCALL_NUMBER(regs) LOAD((regs)->syscallno)
#define SYSCALL_ARG1(regs) LOAD((regs)->orig_x0)
#define SYSCALL_ARG2(regs) LOAD((regs)->regs[1])
#define SYSCALL_ARG3(regs) LOAD((regs)->regs[2])
#define SYSCALL_ARG4(regs) LOAD((regs)->regs[3])
#define TASK_IS_32BIT(task) (LOAD((task)->thread_info.flags) & (1UL << 22) /* TIF_32BIT */)
enum {
	NR_READ = 63,
	NR_WRITE = 64,
	NR_READV = 65,
	NR_WRITEV = 66,
	NR_SENDFILE = 71,
	NR_SPLICE = 76,
	NR_SENDTO = 206,
	NR_RECVFROM = 207,
	NR_SENDMSG = 211,
	NR_RECVMSG = 212,
	NR_RECVMMSG = 243,
	NR_SENDMMSG = 269,
	NR_PREADV2 = 286,
	NR_PWRITEV2 = 287,
};
#else
#error "no register layout for this architecture: add it here"
#endif

/* Where it is another, a rung without HAS_TASK_HELPERS fails its canary. */
#if defined(KERNEL_HEADERS) && defined(TOP_OF_KERNEL_STACK_PADDING)
#define KERNEL_STACK_SIZE (THREAD_SIZE - TOP_OF_KERNEL_STACK_PADDING)
#else
#define KERNEL_STACK_SIZE 16384 /* THREAD_SIZE */
#endif

#define PF_IO_WORKER_FLAG 0x00000010
#define PF_KTHREAD_FLAG 0x00200000

#define MSG_OOB_FLAG 0x1
#define MSG_PEEK_FLAG 0x2
#define MSG_TRUNC_FLAG 0x20
#define MSG_DONTWAIT_FLAG 0x40
#define MSG_ERRQUEUE_FLAG 0x2000
#define MSG_WAITFORONE_FLAG 0x10000
