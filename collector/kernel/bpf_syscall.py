"""bpf(2) through ctypes: maps, programs, attachments. Only what the loader and the broker need.

Kernel uapi: include/uapi/linux/bpf.h, union bpf_attr; offsets are frozen.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import Final

from collector.kernel.errors import KernelRefused

_MAP_CREATE: Final = 0
_MAP_LOOKUP: Final = 1
_MAP_UPDATE: Final = 2
_MAP_DELETE: Final = 3
_MAP_NEXT_KEY: Final = 4
_PROG_LOAD: Final = 5
_PROGRAM_BY_ID: Final = 13
_INFO_BY_FD: Final = 15
_RAW_TRACEPOINT_OPEN: Final = 17
_BTF_LOAD: Final = 18
_TASK_FD_QUERY: Final = 20
_LINK_CREATE: Final = 28
_ENABLE_STATS: Final = 32
_ITER_CREATE: Final = 33

MAP_TYPE_HASH: Final = 1
MAP_TYPE_ARRAY: Final = 2
MAP_TYPE_PERCPU_ARRAY: Final = 6
MAP_TYPE_SK_STORAGE: Final = 24
MAP_TYPE_RINGBUF: Final = 27
MAP_TYPE_TASK_STORAGE: Final = 29
F_NO_PREALLOC: Final = 1
F_MMAPABLE: Final = 0x400

PROG_TYPE_KPROBE: Final = 2
PROG_TYPE_RAW_TRACEPOINT: Final = 17
PROG_TYPE_TRACING: Final = 26
ATTACH_TRACE_RAW_TP: Final = 23
ATTACH_TRACE_FEXIT: Final = 25
ATTACH_TRACE_ITER: Final = 28

_LOG_SIZE: Final = (1 << 24) - 1  # the most that old kernels take; before 6.4 what does not fit is the end
_ATTACH_BTF_ID_OFFSET: Final = 108
_ATTR_SIZE: Final = 152
_INFO_SIZE: Final = 216  # struct bpf_prog_info up to recursion_misses, its last field here (from 5.12 on)
_RUN_TIME_OFFSET: Final = 192
_NUMBERS: Final = {"x86_64": 321, "aarch64": 280}

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: bytearray) -> int:
    buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    result = int(_libc.syscall(_NUMBERS[platform.machine()], command, ctypes.byref(buffer), len(attributes)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def create_map(  # noqa: PLR0913  # the attributes of one system call
    kind: int, *, key_size: int, value_size: int, entries: int, flags: int = 0, name: str = ""
) -> int:
    """Return the descriptor of a new map; raise KernelRefused with the kernel's reason."""
    attributes = bytearray(_ATTR_SIZE)
    struct.pack_into("<IIIIIII16s", attributes, 0, kind, key_size, value_size, entries, flags, 0, 0, name.encode()[:15])
    try:
        return _bpf(_MAP_CREATE, attributes)
    except OSError as refusal:
        raise KernelRefused(f"map {name}: {refusal.strerror}") from refusal


def create_storage(kind: int, value_size: int, name: str) -> int:
    """Return the descriptor of a map whose values stand at sockets or tasks. It wants BTF: an int key, a struct."""
    text = b"\0int\0value\0"
    types = struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32) + struct.pack("<III", 5, 4 << 24, value_size)
    blob = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(text)) + types + text
    buffer = ctypes.create_string_buffer(blob, len(blob))
    attributes = bytearray(_ATTR_SIZE)
    struct.pack_into("<QQI", attributes, 0, ctypes.addressof(buffer), 0, len(blob))
    try:
        btf = _bpf(_BTF_LOAD, attributes)
        attributes = bytearray(_ATTR_SIZE)
        struct.pack_into("<IIIII", attributes, 0, kind, 4, value_size, 0, F_NO_PREALLOC)
        struct.pack_into("<16sIIII", attributes, 28, name.encode()[:15], 0, btf, 1, 2)
        try:
            return _bpf(_MAP_CREATE, attributes)
        finally:
            os.close(btf)
    except OSError as refusal:
        raise KernelRefused(f"map {name}: {refusal.strerror}") from refusal


def link_iterator(program: int, over_map: int) -> int:
    """Return a link whose iterators run `program` over every element of a map."""
    target = ctypes.create_string_buffer(struct.pack("<I", over_map), 4)
    attributes = bytearray(_ATTR_SIZE)
    struct.pack_into("<IIIIQI", attributes, 0, program, 0, ATTACH_TRACE_ITER, 0, ctypes.addressof(target), 4)
    try:
        return _bpf(_LINK_CREATE, attributes)
    except OSError as refusal:
        raise KernelRefused(f"iterator: {refusal.strerror}") from refusal


def create_iterator(link: int) -> int:
    """Return a descriptor; reading it to its end is one pass of the iterator."""
    attributes = bytearray(8)
    struct.pack_into("<II", attributes, 0, link, 0)
    return _bpf(_ITER_CREATE, attributes)


def load_program(  # noqa: PLR0913  # the attributes of one system call
    instructions: bytes, *, kind: int, name: str, attach_type: int = 0, btf_id: int = 0, kernel_version: int = 0
) -> int:
    """Return the descriptor of a verified program; raise KernelRefused with the verifier's last lines."""
    try:
        return _load(instructions, kind, name, attach_type, btf_id, kernel_version, None)
    except OSError as refusal:
        log = ctypes.create_string_buffer(_LOG_SIZE)
        try:
            return _load(instructions, kind, name, attach_type, btf_id, kernel_version, log)
        except OSError:
            lines = log.value.decode(errors="replace").strip().splitlines()
            raise KernelRefused(f"program {name}: {refusal.strerror}", verifier=tuple(lines[-12:])) from refusal


def _load(  # noqa: PLR0913, PLR0917  # the attributes of one system call
    instructions: bytes,
    kind: int,
    name: str,
    attach_type: int,
    btf_id: int,
    kernel_version: int,
    log: "ctypes.Array[ctypes.c_char] | None",
) -> int:
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = bytearray(_ATTR_SIZE)
    log_fields = (1, _LOG_SIZE, ctypes.addressof(log)) if log is not None else (0, 0, 0)
    struct.pack_into(
        "<IIQQIIQII16sII",
        attributes,
        0,
        kind,
        len(instructions) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        *log_fields,
        kernel_version,
        0,
        name.encode()[:15],
        0,
        attach_type,
    )
    struct.pack_into("<I", attributes, _ATTACH_BTF_ID_OFFSET, btf_id)
    return _bpf(_PROG_LOAD, attributes)


def attach_tracing(program: int, name: str = "") -> int:
    """Attach a BTF tracepoint or trampoline program; return the descriptor that holds the attachment.

    A raw tracepoint program does not know where it belongs: `name` says it.
    """
    attributes = bytearray(16)
    text = ctypes.create_string_buffer(name.encode())
    struct.pack_into("<QI", attributes, 0, ctypes.addressof(text) if name else 0, program)
    try:
        return _bpf(_RAW_TRACEPOINT_OPEN, attributes)
    except OSError as refusal:
        raise KernelRefused(f"attach: {refusal.strerror}") from refusal


def enable_statistics() -> int:
    """Return a descriptor; while it is open the kernel times every BPF program. From 5.8 on, with CAP_SYS_ADMIN.

    Raises OSError.
    """
    return _bpf(_ENABLE_STATS, bytearray(4))  # BPF_STATS_RUN_TIME


def _info(descriptor: int, size: int) -> bytes:
    info = ctypes.create_string_buffer(size)
    attributes = bytearray(16)
    struct.pack_into("<IIQ", attributes, 0, descriptor, size, ctypes.addressof(info))
    _bpf(_INFO_BY_FD, attributes)
    return info.raw


def run_statistics(program: int) -> tuple[int, int, int]:
    """Return (nanoseconds, runs, skipped): how often the kernel did not run it, as it was under way on that CPU.

    The first two over the time in which they were counted.
    """
    spent_ns, runs, skipped = struct.unpack_from("<QQQ", _info(program, _INFO_SIZE), _RUN_TIME_OFFSET)
    return spent_ns, runs, skipped


def program_of(attachment: int) -> int:
    """Return a descriptor of the program that a link, or a kprobe's perf event, holds. Raises OSError."""
    try:
        (number,) = struct.unpack_from("<I", _info(attachment, 12), 8)  # struct bpf_link_info: type, id, prog_id
    except OSError:
        attributes = bytearray(48)
        struct.pack_into("<II", attributes, 0, os.getpid(), attachment)
        _bpf(_TASK_FD_QUERY, attributes)
        (number,) = struct.unpack_from("<I", attributes, 24)
    attributes = bytearray(16)
    struct.pack_into("<I", attributes, 0, number)
    return _bpf(_PROGRAM_BY_ID, attributes)


def _on_element(command: int, descriptor: int, key: bytes, value: "ctypes.Array[ctypes.c_char] | None") -> bool:
    """Run one element command; tell whether the key was there."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    attributes = bytearray(32)
    address = ctypes.addressof(value) if value is not None else 0
    struct.pack_into("<I4xQQQ", attributes, 0, descriptor, ctypes.addressof(key_buffer), address, 0)
    try:
        _bpf(command, attributes)
    except OSError as refusal:
        if refusal.errno == errno.ENOENT:
            return False
        raise
    return True


def lookup(descriptor: int, key: bytes, value_size: int) -> bytes | None:
    """Return the value under `key`, or None."""
    value = ctypes.create_string_buffer(value_size)
    return value.raw if _on_element(_MAP_LOOKUP, descriptor, key, value) else None


def update(descriptor: int, key: bytes, value: bytes) -> None:
    """Set the value under `key`."""
    _on_element(_MAP_UPDATE, descriptor, key, ctypes.create_string_buffer(value, len(value)))


def delete(descriptor: int, key: bytes) -> bool:
    """Remove `key`; tell whether it was there."""
    return _on_element(_MAP_DELETE, descriptor, key, None)


def keys(descriptor: int, key_size: int) -> list[bytes]:
    """Return every key of a hash, as it is while the map goes on changing (a key may be missed or met twice)."""
    found: dict[bytes, None] = {}
    following = ctypes.create_string_buffer(key_size)
    attributes = bytearray(32)
    struct.pack_into("<I4xQQQ", attributes, 0, descriptor, 0, ctypes.addressof(following), 0)
    while True:
        try:
            _bpf(_MAP_NEXT_KEY, attributes)
        except OSError as refusal:
            if refusal.errno == errno.ENOENT:
                return list(found)
            raise
        if following.raw in found:
            return list(found)
        found[following.raw] = None
        current = ctypes.create_string_buffer(following.raw, key_size)
        struct.pack_into(
            "<I4xQQQ", attributes, 0, descriptor, ctypes.addressof(current), ctypes.addressof(following), 0
        )
