/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * The kernel helpers in use, by their frozen UAPI numbers. Declared here and not taken from bcc, whose declarations
 * differ by version and cut the socket cookie to 32 bits.
 */
#pragma once

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*map_delete)(void *map, const void *key) = (void *)3;
static u64 (*monotonic_ns)(void) = (void *)5;
static u32 (*smp_processor_id)(void) = (void *)8;
static u64 (*current_pid_tgid)(void) = (void *)14;
static u64 (*current_uid_gid)(void) = (void *)15;
static u64 (*current_task)(void) = (void *)35;
static long (*current_comm)(void *to, u32 size) = (void *)16;
static u64 (*socket_cookie)(void *sk) = (void *)46;
static void *(*storage_get)(void *map, void *sk, void *value, u64 flags) = (void *)107;
static u32 *(*task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
static long (*seq_write)(void *seq, const void *data, u32 size) = (void *)127;
static u64 (*current_cgroup_id)(void) = (void *)80;
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static u64 (*current_ancestor_cgroup_id)(int level) = (void *)123;
static long (*ring_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*ring_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*ring_submit)(void *record, u64 flags) = (void *)132;
static struct tcp_sock *(*skc_to_tcp_sock)(void *sk) = (void *)137;
static void *(*current_task_btf)(void) = (void *)158;
static long (*task_pt_regs)(void *task) = (void *)175;

/* Kernel functions, not helpers: the loader puts their BTF IDs in place of these numbers. */
static void (*preempt_disable)(void) = (void *)0x70000001;
static void (*preempt_enable)(void) = (void *)0x70000002;

#define MAP_ANY 0
#define MAP_NOEXIST 1
#define RING_NO_WAKEUP 1
#define STORAGE_CREATE 1

#define compiler_barrier() asm volatile("" ::: "memory")
#define swap16(x) ((u16)__builtin_bswap16(x)) /* network order; every supported machine is little-endian */
