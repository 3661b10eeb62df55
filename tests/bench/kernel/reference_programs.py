"""What ours is compared with. Run as a process of its own: attaches, prints a line, detaches when standard input ends.

`usual PID`: as others have it, tracepoints at entry and exit of send and receive, joined by a hash map.
`empty`: programs that return at once, where ours stand: what the kernel takes for calling any program there.
`least PID`: the same, but what was sent and received is read and passed on with its time, and nothing else is done.
"""

import os
import select
import sys
from pathlib import Path

from collector.kernel import headers
from tests.support.kernel_mounts import mount_missing

USUAL = """
#include <uapi/linux/ptrace.h>

#define CAPTURED 4096

struct enter { u64 common; u64 number; u64 arguments[6]; };
struct leave { u64 common; u64 number; long result; };
struct call { u64 descriptor; u64 buffer; u64 at_ns; };
struct record { u64 at_ns; u64 took_ns; u64 thread; u64 descriptor; u64 length; char comm[16]; char payload[CAPTURED]; };

BPF_HASH(calls, u64, struct call, 10240);
BPF_PERCPU_ARRAY(scratch, struct record, 1);
BPF_RINGBUF_OUTPUT(events, 2048);

static inline int begin(struct enter *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    struct call call = { ctx->arguments[0], ctx->arguments[1], bpf_ktime_get_ns() };

    if (thread >> 32 == OBSERVED)
        calls.update(&thread, &call);
    return 0;
}

static inline int end(struct leave *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    struct call *call = calls.lookup(&thread);
    struct record *record;
    u64 size;
    int zero = 0;

    if (!call)
        return 0;
    record = scratch.lookup(&zero);
    if (record && ctx->result > 0) {
        record->at_ns = bpf_ktime_get_ns();
        record->took_ns = record->at_ns - call->at_ns;
        record->thread = thread;
        record->descriptor = call->descriptor;
        record->length = ctx->result;
        bpf_get_current_comm(&record->comm, sizeof(record->comm));
        size = ctx->result;
        if (size > CAPTURED - 1)
            size = CAPTURED - 1;
        bpf_probe_read_user(record->payload, size & (CAPTURED - 1), (void *)call->buffer);
        events.ringbuf_output(record, sizeof(*record) - CAPTURED + (size & (CAPTURED - 1)), BPF_RB_NO_WAKEUP);
    }
    calls.delete(&thread);
    return 0;
}

int enter_send(struct enter *ctx) { return begin(ctx); }
int leave_send(struct leave *ctx) { return end(ctx); }
int enter_receive(struct enter *ctx) { return begin(ctx); }
int leave_receive(struct leave *ctx) { return end(ctx); }
"""
EMPTY = """
int nothing(void *ctx) { return 0; }
"""
LEAST = """
#define CAPTURED 4096

struct record { u64 at_ns; char payload[CAPTURED]; };

BPF_PERCPU_ARRAY(scratch, struct record, 1);
BPF_RINGBUF_OUTPUT(events, 2048);

int nothing(void *ctx) { return 0; }

int moved(struct bpf_raw_tracepoint_args *ctx)
{
    struct pt_regs *user = (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
    u64 size = (int)ctx->args[1];
    struct record *record;
    int zero = 0;

    if (bpf_get_current_pid_tgid() >> 32 != OBSERVED || (int)ctx->args[1] <= 0)
        return 0;
    record = scratch.lookup(&zero);
    if (!record)
        return 0;
    if (size > CAPTURED - 1)
        size = CAPTURED - 1;
    bpf_probe_read_user(record->payload, size & (CAPTURED - 1), (void *)user->si);
    record->at_ns = bpf_ktime_get_ns();
    events.ringbuf_output(record, sizeof(*record) - CAPTURED + (size & (CAPTURED - 1)), BPF_RB_NO_WAKEUP);
    return 0;
}
"""
USUAL_HOOKS = {
    "enter_send": "sys_enter_sendto",
    "leave_send": "sys_exit_sendto",
    "enter_receive": "sys_enter_recvfrom",
    "leave_receive": "sys_exit_recvfrom",
}


PLACES = ("sock_send_length", "sock_recv_length", "sk_data_ready")  # of rung length


def main():
    mount_missing()
    os.environ["BCC_KERNEL_SOURCE"] = str(headers.header_tree(Path("/var/cache/netscope"), headers.btf_hash()))
    sys.path.append("/usr/lib/python3/dist-packages")
    from bcc import BPF

    what = sys.argv[1]
    text = {"empty": EMPTY, "least": LEAST, "usual": USUAL}[what]
    observed = "".join(sys.argv[2:]) or 0
    module = BPF(text=text, cflags=[f"-DOBSERVED={observed}", "-w", "-fms-extensions"])
    if what == "usual":
        for function, tracepoint in USUAL_HOOKS.items():
            module.attach_tracepoint(f"syscalls:{tracepoint}", fn_name=function)
    else:
        for place in PLACES:
            moves = what == "least" and place != "sk_data_ready"
            module.attach_raw_tracepoint(place, fn_name="moved" if moves else "nothing")
    if what != "empty":
        module["events"].open_ring_buffer(lambda *_: None)
    print("attached", flush=True)
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        if what != "empty":
            module.ring_buffer_consume()


if __name__ == "__main__":
    main()
