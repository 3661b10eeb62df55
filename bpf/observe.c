// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
//
// What is compiled: one rung's byte path and the life of connections. Everything stands in headers, one per concern,
// because bcc rewrites the text of the main file and leaves what it includes as it is written.
#include "types.h"
#include "abi.h"
#include "helpers.h"
#include "maps.h"
#include "arch.h"
#include "kernel.h"
#include "filter.h"
#include "user_buffer.h"
#include "records.h"
#include "bytes.h"
#include "life.h"
#include "processes.h"

#if defined(RUNG_LENGTH)
#include "rung_length.h"
#elif defined(RUNG_FEXIT)
#include "rung_fexit.h"
#elif defined(RUNG_KPROBE)
#include "rung_kprobe.h"
#elif defined(RUNG_EXIT)
#include "rung_exit.h"
#elif defined(RUNG_ENTER)
#include "rung_enter.h"
#else
#error "no rung chosen"
#endif
#include "entries.h"
