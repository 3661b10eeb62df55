"""Collectors that start in a process which has imported everything and read the kernel's types: under emulation a test
takes a third of the time.

A server imports what a watch needs and forks it on request; what is forked is our own child (CLONE_PARENT), so it is
waited for and killed as any other. The loader is forked, too, in place of being executed. x86-64 only.
"""

import array
import atexit
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from functools import cache
from typing import NoReturn

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_CLONE = 56
_CLONE_PARENT = 0x8000
_LOADER = "collector.kernel.loader"
_plain = subprocess.Popen


@cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())]
    process = _plain(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=ROOT)
    theirs.close()
    atexit.register(_end, ours, process)
    return ours


def _end(link: socket.socket, process: subprocess.Popen) -> None:
    link.close()
    process.wait()


class Collector(subprocess.Popen):
    """As Popen, for `python -m collector ...` with stderr as a pipe, stdout a pipe or a file."""

    def _execute_child(self, args, executable, *rest):
        env, (reads, out, _, err) = rest[4], rest[10:14]
        _server().sendmsg(
            [json.dumps({"words": args[3:], "environment": dict(env)}).encode()],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [out, err]))],
        )
        self.pid = int(_server().recv(64))
        self._child_created = True
        if reads != -1:  # a pipe; a file is our caller's
            os.close(out)
        os.close(err)


class _Loader(subprocess.Popen):
    """As Popen, but the loader is forked from here."""

    def _execute_child(self, args, executable, *rest):
        if _LOADER not in args:
            super()._execute_child(args, executable, *rest)
            return
        self.pid = os.fork()
        if not self.pid:
            _become(_load, args[-1])
        self._child_created = True


def _load(descriptor: str) -> None:
    from collector.kernel import loader

    sys.argv = [_LOADER, descriptor]
    loader.main()


def _become(run, *words) -> NoReturn:
    status = 1
    try:
        run(*words)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _collect(words: list[str], environment: dict[str, str], descriptors: list[int]) -> None:
    from collector.cli.main import main

    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
    os.closerange(3, 64)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["collector", *words]
    main()


def _fork_as_sibling() -> int:
    interpreter = ctypes.pythonapi
    interpreter.PyOS_BeforeFork()
    pid = ctypes.PyDLL(None).syscall(_CLONE, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    (interpreter.PyOS_AfterFork_Parent if pid else interpreter.PyOS_AfterFork_Child)()
    return pid


def _remember_types() -> None:
    from collector.kernel import btf, rungs

    btf.read_kernel_types = cache(btf.read_kernel_types)
    with contextlib.suppress(btf.KernelRefused):
        btf.read_kernel_types(btf.vmlinux(), rungs.FUNCTIONS)


def main() -> None:
    import importlib

    link = socket.socket(fileno=int(sys.argv[1]))
    for name in ("collector.cli.main", "collector.cli.ndjson", "collector.service", _LOADER):
        importlib.import_module(name)
    _remember_types()
    subprocess.Popen = _Loader
    while True:
        text, descriptors, _, _ = socket.recv_fds(link, 1 << 18, 2)
        if not text:
            return
        asked = json.loads(text)
        if {"length", "fexit"}.isdisjoint(asked["words"]):
            importlib.import_module("pyroute2")  # slow under emulation, and rungs with typed sockets do without
        if not (pid := _fork_as_sibling()):
            link.close()
            _become(_collect, asked["words"], asked["environment"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        link.send(str(pid).encode())


if __name__ == "__main__":
    main()
