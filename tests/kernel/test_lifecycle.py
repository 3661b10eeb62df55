"""Start, privileges, death at any moment, restart under load (adversarial case 27, invariants 1 and 6)."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.support.sockets import exchange, request, response, tcp_pair

SECRET = "planted-s3cr3t-7f3a9c"


def listed(kind):
    """bpftool fails where an object goes while it lists: then once more."""
    for _ in range(20):
        result = subprocess.run(["bpftool", "-j", kind], capture_output=True, check=False)
        if not result.returncode:
            return json.loads(result.stdout or "[]")
        time.sleep(0.05)
    raise AssertionError(result.stderr)


def bpf_objects():
    """IDs of the programs and links of NetScope that the kernel holds now."""
    names = {"sock_send_lengt", "sock_recv_lengt", "inet_sock_set_s", "tcp_destroy_soc", "sk_data_ready", "sys_exit"}
    programs, links = listed("prog"), listed("link")
    ours = {p["id"] for p in programs if p.get("name") in names}
    return {("program", one) for one in ours} | {("link", link["id"]) for link in links if link.get("prog_id") in ours}


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def family_of(pid):
    """The process and its children."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [pid, *map(int, children)]


def status(pid, field):
    with open(f"/proc/{pid}/status") as lines:
        return next(line.split(":")[1].split() for line in lines if line.startswith(field + ":"))


def test_it_runs_in_the_background_and_does_not_starve_there(watch):
    watching = watch("--pid", os.getpid())
    pid = watching.process.pid
    wait_until(lambda: os.sched_getscheduler(pid) == os.SCHED_IDLE, 60.0)
    # beside a single one a quick collector runs often enough even so
    hogs = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(6 * len(os.sched_getaffinity(0)))]
    try:
        wait_until(lambda: os.sched_getscheduler(pid) == os.SCHED_BATCH)  # every processor is taken
        with tcp_pair() as (client, server):
            exchange(client, server, request("/busy"), response())
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    watching.stop()
    assert [event["target"] for event in watching.exchanges("client")] == ["/busy"]
    assert watching.lost() == {}


def test_the_parsing_process_has_no_capability_and_is_not_root(watch):
    watching = watch()
    pid = watching.process.pid
    assert int(status(pid, "CapEff")[0], 16) == 0
    assert int(status(pid, "CapPrm")[0], 16) == 0
    assert int(status(pid, "CapBnd")[0], 16) == 0
    assert "0" not in status(pid, "Uid")
    assert status(pid, "NoNewPrivs") == ["1"]
    broker = [child for child in family_of(pid) if child != pid]
    assert len(broker) == 1, "the loader is gone, one broker stays"
    assert int(status(broker[0], "CapEff")[0], 16) & ~(1 << 39 | 1 << 5 | 1 << 23) == 0  # BPF, KILL, SYS_NICE


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_leaves_nothing_attached(watch, seed):
    before = bpf_objects()
    process = subprocess.Popen(
        [os.sys.executable, "-m", "collector", "watch", "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    family = []
    deadline = time.monotonic() + random.Random(seed).uniform(0.05, 1.5)
    while time.monotonic() < deadline:
        family = family_of(process.pid)
        time.sleep(0.01)
    process.kill()
    process.wait()
    wait_until(lambda: bpf_objects() <= before)  # what was there before may have gone meanwhile
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in family))


def test_the_observed_process_survives_the_kill(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, request("/1"), response())
        watching.process.kill()
        watching.process.wait()
        for _ in range(100):
            exchange(client, server, request("/2"), response())


def test_restart_under_load_joins_existing_connections(watch):
    stop = threading.Event()
    sent = []

    def work():
        with tcp_pair() as (client, server):
            while not stop.is_set():
                exchange(client, server, request(f"/{len(sent)}"), response())
                sent.append(1)
                time.sleep(0.0005)  # load, not overload: nothing may be lost here

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(2):
            watching = watch()
            time.sleep(0.3)
            watching.process.kill()
            watching.process.wait()
        watching = watch()
        time.sleep(0.3)
        watching.stop()
    finally:
        stop.set()
        thread.join()
    events = [e for e in watching.exchanges("client") if e["outcome"] is not None]
    numbers = [int(e["target"][1:]) for e in events if e["target"]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) > 20
    assert all(e["quality"]["joined_mid"] for e in events)
    assert {e["outcome"] for e in events if e["target"]} == {"ok"}


@pytest.mark.parametrize("_time", range(6))
def test_numbers_agree_when_started_and_ended_under_traffic(watch, _time):
    stop = threading.Event()

    def work():
        with tcp_pair() as (client, server):
            while not stop.is_set():
                exchange(client, server, request("/"), response())
                time.sleep(0.0002)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        watching = watch("--include-connections")
        time.sleep(0.05)
        watching.stop()
    finally:
        stop.set()
        thread.join()
    records, kernel = watching.summary["records"], watching.summary["kernel"]
    assert records["lost"] == 0
    assert records["captured"] == records["decoded"] > 0
    # Both ends are one connection each; the first answer of each may belong to a request that came before the start.
    told = sum(1 for event in watching.exchanges() if event["status_code"])
    assert told <= kernel["exchanges"] <= told + 2
    ours = watching.connections()
    assert sum(one["bytes_sent"] for one in ours) == kernel["bytes_sent"]
    assert sum(one["bytes_received"] for one in ours) == kernel["bytes_received"]


def test_planted_secrets_stay_out_of_everything_that_is_told(watch):
    watching = watch("--include-connections")
    with tcp_pair() as (client, server):
        headers = (f"Authorization: Bearer {SECRET}", f"Cookie: session={SECRET}", f"X-Api-Key: {SECRET}")
        for _ in range(50):
            target = f"/s?token={SECRET}"
            exchange(client, server, request(target, headers=headers), response(headers=(f"Set-Cookie: a={SECRET}",)))
        client.sendall(request("/cut", headers=headers)[:-2])  # a head that stays open
        time.sleep(0.05)
    watching.stop()
    assert len(watching.exchanges("client")) == 50
    assert SECRET.encode() not in watching.raw
    assert SECRET.encode() not in watching.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_with_open_exchanges_told(watch, number):
    watching = watch("--include-connections")
    with tcp_pair() as (client, server):
        client.sendall(request("/open"))
        server.recv(4096)
        time.sleep(0.05)
        watching.stop(number)
    (event,) = watching.exchanges("client")
    assert (event["target"], event["outcome"], event["quality"]["truncated"]) == ("/open", None, True)
    assert {c["outcome"] for c in watching.connections()} == {None}


def test_count_and_duration(watch):
    watching = watch("--count", 3)
    with tcp_pair() as (client, server):
        for _ in range(5):
            exchange(client, server, request("/n"), response())
        watching.wait()
    assert (len(watching.events), watching.code) == (3, 0)
    started = time.monotonic()
    watching = watch("--duration", "0.5")
    watching.wait()
    assert watching.code == 0
    assert time.monotonic() - started < 10


def test_ready_is_told_to_systemd(watch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(5)
        watch(env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert b"READY=1" in notify.recv(256)


def test_where_root_cannot_be_given_up_nothing_is_observed():
    before = bpf_objects()
    command = ["setpriv", "--bounding-set", "-setuid", "--inh-caps", "-all", sys.executable, "-m", "collector"]
    done = subprocess.run(
        [*command, "watch", "--json", "--duration", "0.1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stdout == ""
    said, fix = done.stderr.splitlines()
    assert "root cannot be given up here: CAP_SETUID or CAP_SETGID is missing" in said
    assert "--cap-add SETUID,SETGID" in said
    assert "collector doctor" in fix
    wait_until(lambda: not bpf_objects() - before)


def test_started_where_nobody_else_wants_to_run_it_stays_there(watch):
    watching = watch("--pid", os.getpid(), within=("chrt", "--idle", "0"))
    with tcp_pair() as (client, server):
        exchange(client, server, request("/idle"), response())
    watching.stop()
    assert [event["target"] for event in watching.exchanges("client")] == ["/idle"]
