import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def pinned(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_what_runs_is_what_was_tested() -> None:
    everything = pinned("requirements.lock")
    demo, running = pinned("requirements-demo.lock"), pinned("requirements-run.lock")
    assert running
    assert running.items() <= demo.items() <= everything.items(), "run: make lock"


def test_every_pin_has_a_hash_and_names_no_host() -> None:
    for name in ("requirements.lock", "requirements-run.lock", "requirements-demo.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert len(re.findall(r"^\S+==", text, re.MULTILINE)) == len(re.findall(r"==\S+.*\\\n +--hash=sha256:", text))
