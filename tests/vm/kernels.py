"""Debian's kernels by name: found with apt, unpacked into .vm/kernels/, kept there. Nothing is installed on the host."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE = (ROOT / ".vm").resolve()  # may be shared by several checkouts
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
_DEFAULT_MIRROR = "http://deb.debian.org/debian"
_WITH_SECURITY = {"bullseye", "bookworm", "trixie"}


class CannotHave(Exception):
    """qemu or a kernel cannot be had here; the message is one line that says which and how to get it."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel that the project is proven on."""

    name: str  # major.minor
    suite: str  # Debian's, whose archive has it
    flavour: str = "amd64"


KERNELS = (
    Kernel("5.10", "bullseye"),
    Kernel("6.1", "bookworm"),
    Kernel("6.12", "trixie"),
    Kernel("6.18", "trixie-backports"),
    Kernel("7.2", "sid"),
)
ARM = Kernel("6.1", "bookworm", "arm64")  # never booted: its types are what the programs for arm64 are compiled from
BY_NAME = {kernel.name: kernel for kernel in KERNELS}


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A kernel on disk: its release as `uname -r` says it, and where /boot and /lib/modules of it stand."""

    release: str
    root: Path

    @property
    def modules(self) -> Path:
        return self.root / "lib/modules" / self.release

    @property
    def image(self) -> Path:
        """The compressed kernel."""
        found = [p for p in (self.root / f"boot/vmlinuz-{self.release}", self.modules / "vmlinuz") if p.exists()]
        if not found:
            raise CannotHave(f"kernel {self.release}: no vmlinuz in its packages")
        return found[0]


def unpacked(kernel: Kernel) -> Unpacked:
    """Return the kernel, fetched now if it is not in the store. Raises CannotHave."""
    place = STORE / "kernels" / f"{kernel.name}-{kernel.flavour}"
    stamp = place / "release"
    if not stamp.exists():
        _fetch(kernel, place)
    return Unpacked(stamp.read_text().strip(), place)


def _fetch(kernel: Kernel, place: Path) -> None:
    apt = _Apt(kernel.suite, kernel.flavour.removeprefix("cloud-"))
    apt.run("apt-get", "update", "-q")
    package = _newest(apt, kernel)
    release = package.removeprefix("linux-image-")
    place.mkdir(parents=True, exist_ok=True)
    _unpack(apt, [package, *_parts(apt, package, release)], place)
    if not (place / "lib").exists():
        (place / "lib").symlink_to("usr/lib")
    if not (place / "lib/modules" / release / "modules.dep").exists():
        subprocess.run(
            ["depmod", "-b", place, release],
            check=True,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"},
        )
    (place / "release").write_text(release + "\n")


def with_headers(kernel: Kernel) -> Unpacked:
    """Return the kernel with its headers in usr/src, fetched now if they are not in the store. Raises CannotHave."""
    held = unpacked(kernel)
    stamp = held.root / "headers"
    if not stamp.exists():
        apt = _Apt(kernel.suite, kernel.flavour.removeprefix("cloud-"))
        package = f"linux-headers-{held.release}"
        said = apt.run("apt-cache", "depends", package)
        _unpack(apt, [package, *re.findall(r"Depends: (linux-(?:headers|kbuild)-\S+)", said)], held.root)
        stamp.touch()
    return held


def _unpack(apt: "_Apt", packages: list[str], place: Path) -> None:
    debs = place / "debs"
    debs.mkdir(exist_ok=True)
    apt.run("apt-get", "download", "-q", *packages, cwd=debs)
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, place], check=True)
        deb.unlink()


def _newest(apt: "_Apt", kernel: Kernel) -> str:
    pattern = rf"^linux-image-{re.escape(kernel.name)}[.][.+0-9a-z-]*-{kernel.flavour}$"
    said = apt.run("apt-cache", "search", "--names-only", pattern)
    names = [line.split()[0] for line in said.splitlines() if line.startswith("linux-image-")]
    names = [n for n in names if not re.search(r"-(cloud|rt)-", n.removesuffix(f"-{kernel.flavour}") + "-")]
    if not names:
        raise CannotHave(f"kernel {kernel.name}: Debian {kernel.suite} has none")
    return max(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])


def _parts(apt: "_Apt", package: str, release: str) -> list[str]:
    """From 7.0 on image and modules are packages of their own."""
    said = apt.run("apt-cache", "depends", package)
    return sorted(set(re.findall(rf"(linux-(?:binary|modules)-{re.escape(release)})$", said, re.MULTILINE)))


class _Apt:
    """apt with lists and state of its own."""

    def __init__(self, suite: str, architecture: str) -> None:
        if not _KEYRING.exists():
            raise CannotHave(f"{_KEYRING} is missing: apt-get install debian-archive-keyring")
        base = STORE / "apt" / f"{suite}-{architecture}"
        for part in ("lists/partial", "cache/archives/partial"):
            (base / part).mkdir(parents=True, exist_ok=True)
        archive = mirror()
        lines = [f"deb [signed-by={_KEYRING}] {archive} {suite} main"]
        if suite in _WITH_SECURITY:
            security = archive.removesuffix("debian") + "debian-security"
            lines.append(f"deb [signed-by={_KEYRING}] {security} {suite}-security main")
        (base / "sources.list").write_text("\n".join(lines) + "\n")
        (base / "status").touch()
        settings = {
            "Dir::Etc::sourcelist": base / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": base / "lists", "Dir::State::status": base / "status", "Dir::Cache": base / "cache",
            "Acquire::Languages": "none", "Acquire::Retries": "3", "APT::Sandbox::User": "root",
            "APT::Architecture": architecture, "APT::Architectures": architecture,
        }  # fmt: skip
        self._options = [f"-o{name}={value}" for name, value in settings.items()]

    def run(self, program: str, *words: str, cwd: Path | None = None) -> str:
        try:
            done = subprocess.run(
                [program, *self._options, *words], check=True, capture_output=True, text=True, cwd=cwd
            )
        except FileNotFoundError as problem:
            raise CannotHave(f"{program} is missing: kernels come from Debian's archive") from problem
        except subprocess.CalledProcessError as problem:
            last = (problem.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise CannotHave(f"{program} {words[0]}: {last}") from problem
        return done.stdout


def mirror() -> str:
    """Return the mirror that this host already uses."""
    found = re.search(r"^URIs:\s*(\S+/debian)/?\s*$", _SOURCES.read_text() if _SOURCES.exists() else "", re.MULTILINE)
    return found[1] if found else _DEFAULT_MIRROR
