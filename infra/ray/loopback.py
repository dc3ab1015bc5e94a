"""A Ray cluster on loopback, a head and nodes that come and go, for tests and benchmarks.

Inside namespaces only (`rig/namespaces.py`): Ray binds every interface, and runs code for whoever reaches its ports.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rig"))
from namespaces import patiently, processes

HEAD, PORT, CLIENT_PORT = "127.0.0.2", 26379, 26001
ADDRESS = f"ray://{HEAD}:{PORT}"
CLIENT_ADDRESS = f"ray://{HEAD}:{CLIENT_PORT}"

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


def workers() -> list[int]:
    """Ray workers that run a chunk."""
    return [pid for pid, words in processes() if words and words[0].startswith("ray::run_chunk")]


class Cluster:
    """A head without CPUs, and nodes."""

    def __init__(self) -> None:
        # Sockets lie below it, and the path of a socket has 107 bytes at most.
        self.dir = Path(tempfile.mkdtemp(prefix="gr"))
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.started = 0
        self.ray = Path(sys.executable).with_name("ray")

    def __enter__(self) -> Cluster:
        self.head()
        return self

    def head(self) -> None:
        """Starts a head; the first, or another in the place of one that was killed."""
        head = ["--head", f"--port={PORT}", "--include-dashboard=false", f"--ray-client-server-port={CLIENT_PORT}"]
        self._start("head", HEAD, 26100, ["--num-cpus=0", *head])
        self._wait("head")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.nodes):
            self.kill(name)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, *numbers: int, cpus: int = 1) -> None:
        """Starts nodes, such as 1 and 2, at once and waits until they are part of the cluster."""
        for number in numbers:
            place = [f"--address={HEAD}:{PORT}", f"--num-cpus={cpus}"]
            self._start(f"n{number}", f"127.0.0.{2 + number}", 26200 + 100 * number, place)
        for number in numbers:
            self._wait(f"n{number}")

    def kill(self, name: str) -> None:
        """A node dies as by a power cut: raylet, agents and workers at once."""
        node = self.nodes.pop(name)
        # Never `ray stop`: it ends every Ray of the machine.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def _start(self, name: str, address: str, port: int, flags: list[str]) -> None:
        command = [str(self.ray), "start", f"--node-ip-address={address}", *flags, "--block", "--disable-usage-stats"]
        # A temporary folder each: nodes that start together under one collide.
        self.started += 1
        command += ["--object-store-memory=80000000", f"--temp-dir={self.dir / f'{name}-{self.started}'}"]
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

    def _wait(self, name: str) -> None:
        log = self.dir / f"{name}.log"

        def up() -> bool:
            said = log.read_text(errors="replace")
            if self.nodes[name].poll() is not None:
                raise RuntimeError(f"node {name} ended: {said[-2000:]}")
            return "Ray runtime started" in said

        patiently(f"node {name} runs", up)
