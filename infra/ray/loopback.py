"""A Ray cluster on loopback, a head and nodes, for tests and benchmarks.

It lives in a network and a process list of its own: its ports meet nobody else's, nobody outside reaches them (Ray
binds every interface, and runs code for whoever asks), and all of it dies with the program that started it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

HEAD, PORT, CLIENT_PORT = "127.0.0.2", 26379, 26001
ADDRESS = f"ray://{HEAD}:{PORT}"
CLIENT_ADDRESS = f"ray://{HEAD}:{CLIENT_PORT}"
PATIENCE_S = 120.0

# A dead node is seen within seconds, and a node whose head is gone ends itself soon: for tests only.
QUICK = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def unshare() -> list[str]:
    """The words before a command that shall have network and process list of its own."""
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *own, "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def enter() -> None:
    """Starts this program again in namespaces of its own; ends it with the other's exit code."""
    if os.environ.get("GHTRADER_LOOPBACK") == "1":
        # Loopback is down in a new network.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            up = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
            fcntl.ioctl(s, 0x8914, up)  # SIOCSIFFLAGS
        return
    environment = {**os.environ, "GHTRADER_LOOPBACK": "1"}
    sys.exit(subprocess.run([*unshare(), sys.executable, *sys.argv], env=environment, check=False).returncode)


def obstacle() -> str | None:
    """Why no such cluster can be made here, None if it can."""
    if os.environ.get("GHTRADER_LOOPBACK") == "1":
        return None
    if not shutil.which("unshare"):
        return "there is no `unshare` (util-linux)"
    tried = subprocess.run([*unshare(), "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"namespaces are not allowed here: {tried.stderr.strip()}"


def processes() -> Iterator[tuple[int, list[str]]]:
    """Every living process here but this one: number and command line."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
            state = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            yield int(entry), [w.decode("utf-8", "replace") for w in words if w]


def workers() -> list[int]:
    """Ray workers that run a chunk."""
    return [pid for pid, words in processes() if words and words[0].startswith("ray::run_chunk")]


def running(program: Path) -> list[int]:
    """Processes of a program."""
    return [pid for pid, words in processes() if words and words[0] == str(program)]


def patiently(what: str, look: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Looks again and again until it is so."""
    end = time.monotonic() + patience_s
    while not look():
        if time.monotonic() > end:
            raise TimeoutError(f"after {patience_s:g} s still not: {what}")
        time.sleep(0.02)


class Cluster:
    """A head without CPUs, and nodes that come and go."""

    def __init__(self) -> None:
        # Sockets lie below it, and the path of a socket has 107 bytes at most.
        self.dir = Path(tempfile.mkdtemp(prefix="gr"))
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.ray = Path(sys.executable).with_name("ray")

    def __enter__(self) -> Cluster:
        head = ["--head", f"--port={PORT}", "--include-dashboard=false", f"--ray-client-server-port={CLIENT_PORT}"]
        self._start("head", HEAD, 26100, ["--num-cpus=0", *head])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.nodes):
            self.kill(name)
        if error is not None:
            for log in sorted(self.dir.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, *numbers: int, cpus: int = 1) -> None:
        """Starts nodes, such as 1 and 2, at once and waits until they are part of the cluster."""
        for number in numbers:
            place = [f"--address={HEAD}:{PORT}", f"--num-cpus={cpus}"]
            self._start(f"n{number}", f"127.0.0.{2 + number}", 26200 + 100 * number, place, wait=False)
        for number in numbers:
            self._wait(f"n{number}")

    def kill(self, name: str) -> None:
        """A node dies as by a power cut: raylet, agents and workers at once."""
        node = self.nodes.pop(name)
        # Never `ray stop`: it ends every Ray of the machine.
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def _start(self, name: str, address: str, port: int, flags: list[str], wait: bool = True) -> None:
        # A temporary folder each: nodes that start together under one collide.
        command = [str(self.ray), "start", f"--node-ip-address={address}", *flags, "--block", "--disable-usage-stats"]
        command += ["--object-store-memory=80000000", f"--temp-dir={self.dir / name}"]
        command += [f"--min-worker-port={port}", f"--max-worker-port={port + 99}"]
        with (self.dir / f"{name}.log").open("wb") as log:
            self.nodes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **QUICK},
                start_new_session=True,
            )
        if wait:
            self._wait(name)

    def _wait(self, name: str) -> None:
        log = self.dir / f"{name}.log"

        def up() -> bool:
            if self.nodes[name].poll() is not None:
                raise RuntimeError(f"node {name} ended: {log.read_text()[-2000:]}")
            return "Ray runtime started" in log.read_text()

        patiently(f"node {name} runs", up)
