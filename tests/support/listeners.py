"""Many feed clients at once, some stalled: the C program beside this file."""

import json
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class Listeners:
    """Connected clients; `resume` lets the stalled ones read, `report` counts."""

    def __init__(self, folder, service, *, healthy, stalled=0, path="/v1/feed"):
        binary = folder / "listeners"
        if not binary.exists():
            subprocess.run(["gcc", "-O2", "-o", binary, SOURCE], check=True)
        self.process = subprocess.Popen(
            [binary, str(service.port), str(healthy), str(stalled), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "connected\n"

    def say(self, word):
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def report(self):
        self.say("report")
        return json.loads(self.process.stdout.readline())

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()
