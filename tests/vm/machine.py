"""One emulated machine: boots a kernel with this host's root (read-only), runs one command, brings its end back.

TCG with one thread and one CPU: multi-threaded TCG panics now and then, and two CPUs gain nothing on one thread.
"""

import compileall
import contextlib
import functools
import lzma
import os
import shlex
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tests.vm.kernels import ROOT, STORE, CannotHave, Kernel, Unpacked, unpacked

_INIT = Path(__file__).with_name("init")
_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")  # built in on some kernels
_NEEDED = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "cpio": "cpio", "depmod": "kmod"}
_APPEND = (
    "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on no_timer_check audit=0 apparmor=0"
    " tsc=reliable"
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a machine is set up; the defaults are a usual host."""

    memory: str = "1500M"
    seconds: float = 600.0  # then it is killed
    append: str = ""  # to the kernel's command line
    cgroups: str = "unified"  # or "hybrid", "none"
    bare: bool = False  # no tracefs, debugfs, bpffs
    counted: bool = False  # the machine's clock counts instructions: one is one nanosecond
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended; `status` 124: the machine gave none, the console's end is in `output`."""

    status: int
    output: str
    release: str


def missing() -> str | None:
    """Say in one line what has to be installed first, or None."""
    path = os.environ.get("PATH", "") + ":" + _PATH
    packages = [package for program, package in _NEEDED.items() if not shutil.which(program, path=path)]
    return f"emulated kernels need: apt-get install {' '.join(packages)}" if packages else None


def run(kernel: Kernel, command: list[str], *, settings: Settings = Settings(), share: Path | None = None,
        sink: BinaryIO | None = None) -> Finished:  # fmt: skip
    """Boot, run `command` as root in the checkout, power off. What is written outside `share` is gone afterwards.

    Everything printed goes to `sink` as it comes. Raises CannotHave.
    """
    if lack := missing():
        raise CannotHave(lack)
    held = unpacked(kernel)
    base = prepare(kernel, held)
    compile_modules()
    share = share or STORE / "share"
    share.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="netscope-vm-") as name:
        return _boot(Path(name), held, base, command, settings, share, sink)


def prepare(kernel: Kernel, held: Unpacked) -> Path:
    """Return the directory with the uncompressed kernel and the initrd, made now if missing or older than `init`."""
    base = STORE / "boot" / f"{kernel.name}-{kernel.flavour}"
    initrd = base / "initrd.cpio"
    if initrd.exists() and initrd.stat().st_mtime > max(_INIT.stat().st_mtime, Path(__file__).stat().st_mtime):
        return base
    tree = base / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for part in ("bin", "m", "proc", "sys", "dev", "ro", "rw", "new"):
        (tree / part).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", tree / "bin/busybox")
    shutil.copy(_INIT, tree / "init")
    (tree / "init").chmod(0o755)
    (tree / "modlist").write_text("".join(f"{name}\n" for name in _copy_modules(held, tree / "m")))
    _uncompress(held.image, base / "vmlinux")
    initrd.write_bytes(_cpio(tree))
    return base


@functools.cache
def compile_modules() -> None:
    """Compile the checkout's Python here, as an installed package is: under emulation each boot would do it again."""
    for part in ("collector", "pipeline", "api", "tests"):
        compileall.compile_dir(ROOT / part, quiet=2)


def _copy_modules(held: Unpacked, to: Path) -> list[str]:
    needs = dict(line.split(":", 1) for line in (held.modules / "modules.dep").read_text().splitlines())
    copied: list[str] = []
    for module in _MODULES:
        for path in (p for p in needs if Path(p).name.partition(".")[0].replace("-", "_") == module):
            for one in [*reversed(needs[path].split()), path]:
                name = Path(one).name.removesuffix(".xz")
                if name not in copied:
                    text = (held.modules / one).read_bytes()
                    (to / name).write_bytes(lzma.decompress(text) if one.endswith(".xz") else text)
                    copied.append(name)
    return copied


def _uncompress(image: Path, to: Path) -> None:
    """The ELF inside a bzImage (Documentation/arch/x86/boot.rst: payload_offset, payload_length)."""
    raw = image.read_bytes()
    start = ((raw[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", raw, 0x248)
    payload = raw[start + offset : start + offset + length]
    if payload.startswith(b"\xfd7zXZ"):
        inside = lzma.LZMADecompressor().decompress(payload)
    else:
        inside = subprocess.run(["zstd", "-dcq"], input=payload[:-4], capture_output=True, check=False).stdout
    if not inside.startswith(b"\x7fELF"):
        raise CannotHave(f"{image}: its compression is not known here")
    to.write_bytes(inside)


def _cpio(tree: Path) -> bytes:
    names = "".join(f"{path.relative_to(tree)}\n" for path in sorted(tree.rglob("*")))
    command = ["cpio", "-o", "-H", "newc", "--quiet"]
    return subprocess.run(command, input=names.encode(), cwd=tree, capture_output=True, check=True).stdout


def _script(command: list[str], settings: Settings) -> str:
    words = {"HOME": "/root", "PATH": _PATH, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **settings.environment}
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in words.items())
    return f"""export {exports}
for d in /sys/class/virtio-ports/*; do read -r n < $d/name; eval "$n=/dev/${{d##*/}}"; done
cd {shlex.quote(str(ROOT))}
setsid sh /run/run.cmd </dev/null >$kout 2>&1
echo $? >$krc
exec /bin/busybox poweroff -f
"""


def _boot(  # noqa: PLR0917  # the parts of one machine
    work: Path, held: Unpacked, base: Path, command: list[str], settings: Settings, share: Path, sink: BinaryIO | None
) -> Finished:
    extra = work / "i"
    extra.mkdir()
    (extra / "run.cmd").write_text(shlex.join(command) + "\n")
    (extra / "run.env").write_text(
        f"KVER={held.release}\nSHARE={shlex.quote(str(share))}\nCGROUPS={settings.cgroups}\n"
        f"BARE={'yes' if settings.bare else ''}\nSCRATCH={'' if _in_tmp(ROOT, share) else 'tmp'}\n"
    )
    (extra / "run.init").write_text(_script(command, settings))
    (work / "initrd").write_bytes((base / "initrd.cpio").read_bytes() + _cpio(extra))
    said: list[bytes] = []
    with _collecting(said, sink) as out:
        emulator = _command(work, held, base, settings, share, out)
        process = subprocess.Popen(emulator, pass_fds=[out], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        os.close(out)
        try:
            _, problem = process.communicate(timeout=settings.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            problem = f"killed after {settings.seconds:.0f} s".encode()
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    output = b"".join(said).decode(errors="replace")
    status = (work / "rc").read_text().strip()
    if not status:
        console = (
            (work / "console").read_text(errors="replace").splitlines()[-40:] if (work / "console").exists() else []
        )
        return Finished(status=124, output="\n".join([output, problem.decode(), *console]), release=held.release)
    return Finished(status=int(status), output=output, release=held.release)


def _in_tmp(*paths: Path) -> bool:
    """Tell whether the machine has to see the host's /tmp: then what it writes there goes to its memory all the same."""
    return any(path.is_relative_to("/tmp") for path in paths)


@contextlib.contextmanager
def _collecting(said: list[bytes], sink: BinaryIO | None) -> Iterator[int]:
    """Give a descriptor to write to; what is written is collected, and passed on."""
    reading, writing = os.pipe()

    def collect() -> None:
        while piece := os.read(reading, 65536):
            said.append(piece)
            if sink:
                sink.write(piece)
                sink.flush()

    reader = threading.Thread(target=collect)
    reader.start()
    try:
        yield writing
    finally:
        reader.join()
        os.close(reading)


def _command(  # noqa: PLR0917  # the parts of one machine
    work: Path, held: Unpacked, base: Path, settings: Settings, share: Path, out: int
) -> list[str]:
    (work / "rc").touch()
    shares = []
    for tag, path, more in (
        ("kroot", "/", ",readonly=on"), ("kshare", share, ""), ("kmods", held.modules.resolve(), ",readonly=on"),
    ):  # fmt: skip
        shares += ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap{more}"]
        shares += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    ports = ["-device", "virtio-serial-pci", "-device", "virtio-rng-pci"]
    for tag, path in (("kout", f"/dev/fd/{out}"), ("krc", work / "rc")):
        ports += ["-chardev", f"file,id={tag},path={path}", "-device", f"virtserialport,chardev={tag},name={tag}"]
    return [
        "setpriv", "--pdeathsig", "KILL", "nice", "-n", "10", "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=single,tb-size=512", "-cpu", "max",
        "-smp", "1", "-m", settings.memory, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(base / "vmlinux"), "-initrd", str(work / "initrd"), "-append", f"{_APPEND} {settings.append}",
        *(["-icount", "shift=0"] if settings.counted else []), "-serial", f"file:{work / 'console'}", *shares, *ports,
    ]  # fmt: skip
