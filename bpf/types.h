/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * What the header tree made from BTF leaves out; or, where the kernel has no BTF, its headers.
 */
#pragma once

#ifdef KERNEL_HEADERS
/* Names that are something else there. */
#define current_task kernels_current_task
#define seq_write kernels_seq_write
#define tcp_retransmit_skb kernels_tcp_retransmit_skb
#include <linux/cgroup.h>
#include <linux/fdtable.h>
#include <linux/net.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/socket.h>
#include <linux/tcp.h>
#include <linux/uio.h>
#include <linux/version.h>
#include <net/sock.h>
#include <net/tcp.h>
#undef current_task
#undef seq_write
#undef tcp_retransmit_skb
#undef current_uid_gid
#undef smp_processor_id
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
#define HAS_ANCESTOR_HELPER
#endif
#endif

#ifndef NULL
#define NULL ((void *)0)
#endif

/* One program: bcc looks for its code in a section of this name; ctx[n] is the n-th argument. */
#define PROGRAM(name) __attribute__((section(".bpf.fn." #name), used)) int name
