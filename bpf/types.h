/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
 *
 * What the header tree made from BTF leaves out.
 */
#pragma once

#ifndef NULL
#define NULL ((void *)0)
#endif

/* One program: bcc looks for its code in a section of this name; ctx[n] is the n-th argument. */
#define PROGRAM(name) __attribute__((section(".bpf.fn." #name), used)) int name
