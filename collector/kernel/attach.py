"""Loading one program and attaching it by its hook; the returned descriptors hold it attached."""

import ctypes
import fcntl
import os
import platform
import struct
from pathlib import Path
from typing import Final

from collector.kernel import abi, headers
from collector.kernel.bpf_syscall import (
    ATTACH_TRACE_FEXIT,
    ATTACH_TRACE_ITER,
    ATTACH_TRACE_RAW_TP,
    PROG_TYPE_KPROBE,
    PROG_TYPE_RAW_TRACEPOINT,
    PROG_TYPE_TRACING,
    attach_tracing,
    link_iterator,
    load_program,
)
from collector.kernel.btf import KernelTypes
from collector.kernel.errors import KernelRefused
from collector.kernel.return_probes import ReturnProbes
from collector.kernel.rungs import Hook, Program

_KPROBE_PMU: Final = Path("/sys/bus/event_source/devices/kprobe")
_PERF_EVENT_OPEN: Final = {"x86_64": 298, "aarch64": 241}
_PERF_FLAG_FD_CLOEXEC: Final = 8
_IOC_ENABLE: Final = 0x2400
_IOC_SET_BPF: Final = 0x40042408
_ATTR_SIZE: Final = 112
_TYPE_TRACEPOINT: Final = 2  # PERF_TYPE_TRACEPOINT

_libc = ctypes.CDLL(None, use_errno=True)


def load_and_attach(
    program: Program, instructions: bytes, types: KernelTypes, maps: dict[int, int], returns: ReturnProbes
) -> list[int]:
    """Return the descriptors that keep the program attached. Raises KernelRefused."""
    match program.hook:
        case Hook.TRACEPOINT if not types.typed:
            return _raw_tracepoint(program, instructions)
        case Hook.TRACEPOINT:
            return _tracing(program, instructions, ATTACH_TRACE_RAW_TP, types.tracepoints[program.target])
        case Hook.FEXIT:
            return _tracing(program, instructions, ATTACH_TRACE_FEXIT, types.functions[program.target][0])
        case Hook.KPROBE:
            return _kprobe(program, instructions, None)
        case Hook.KRETPROBE:
            return _kprobe(program, instructions, returns)
        case Hook.ITERATOR:
            loaded = load_program(
                instructions,
                kind=PROG_TYPE_TRACING,
                name=program.name,
                attach_type=ATTACH_TRACE_ITER,
                btf_id=types.functions[program.target][0],
            )
            try:
                return [link_iterator(loaded, maps[abi.MAP_SOCKETS])]
            finally:
                os.close(loaded)


def _tracing(program: Program, instructions: bytes, attach_type: int, btf_id: int) -> list[int]:
    loaded = load_program(
        instructions, kind=PROG_TYPE_TRACING, name=program.name, attach_type=attach_type, btf_id=btf_id
    )
    try:
        return [attach_tracing(loaded)]
    finally:
        os.close(loaded)  # the attachment holds it


def _raw_tracepoint(program: Program, instructions: bytes) -> list[int]:
    loaded = load_program(instructions, kind=PROG_TYPE_RAW_TRACEPOINT, name=program.name)
    try:
        return [attach_tracing(loaded, program.target)]
    finally:
        os.close(loaded)


def _kprobe(program: Program, instructions: bytes, returns: ReturnProbes | None) -> list[int]:
    a, b, c = headers.kernel_version()
    loaded = load_program(
        instructions, kind=PROG_TYPE_KPROBE, name=program.name, kernel_version=(a << 16) + (b << 8) + min(c, 255)
    )
    try:
        event = _open_return(program.target, returns) if returns else _open_kprobe(program.target, config=0)
        for request, argument in ((_IOC_SET_BPF, loaded), (_IOC_ENABLE, 0)):
            fcntl.ioctl(event, request, argument)
    except OSError as problem:
        raise KernelRefused(f"kprobe {program.target}: {problem.strerror}") from problem
    finally:
        os.close(loaded)
    return [event]


def _open_return(function: str, returns: ReturnProbes) -> int:
    """With room for many calls under way, if that can be had."""
    number = returns.define(function)
    if number is None:
        return _open_kprobe(function, config=1)
    attributes = bytearray(_ATTR_SIZE)
    struct.pack_into("<IIQ", attributes, 0, _TYPE_TRACEPOINT, _ATTR_SIZE, number)
    return _open_event(function, attributes)


def _open_kprobe(function: str, *, config: int) -> int:
    """The kprobe PMU: config bit 0 asks for a return probe, config1 is the function's name."""
    try:
        pmu = int((_KPROBE_PMU / "type").read_text())
    except OSError as problem:
        raise KernelRefused("this kernel has no kprobes") from problem
    name = ctypes.create_string_buffer(function.encode())
    attributes = bytearray(_ATTR_SIZE)
    struct.pack_into("<IIQ", attributes, 0, pmu, _ATTR_SIZE, config)
    struct.pack_into("<QQ", attributes, 56, ctypes.addressof(name), 0)  # config1, config2
    return _open_event(function, attributes)


def _open_event(function: str, attributes: bytearray) -> int:
    buffer = (ctypes.c_char * _ATTR_SIZE).from_buffer(attributes)
    number = _PERF_EVENT_OPEN[platform.machine()]
    event = int(_libc.syscall(number, ctypes.byref(buffer), -1, 0, -1, _PERF_FLAG_FD_CLOEXEC))
    if event < 0:
        raise KernelRefused(f"kprobe {function}: {os.strerror(ctypes.get_errno())}")
    return event
