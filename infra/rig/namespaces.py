"""A network and a process list of its own for a program, so that a cluster on it meets nobody and outlives nobody.

Ports are free there and nobody outside reaches them; the processes found are the cluster's; and all of them die
with the program that started them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

INSIDE = "RIG_NAMESPACES"
PATIENCE_S = 120.0


def unshare() -> list[str]:
    """The words before a command that shall have network and process list of its own."""
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *own, "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def obstacle() -> str | None:
    """Why there can be none here; None if there can."""
    if not shutil.which("unshare"):
        return "there is no `unshare` (Debian: util-linux)"
    tried = subprocess.run([*unshare(), "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"namespaces are not allowed here: {tried.stderr.strip()}"


def enter() -> None:
    """Starts this program again inside, and ends with the other's exit code; inside, brings loopback up."""
    if os.environ.get(INSIDE) != "1":
        why = obstacle()
        if why:
            sys.exit(f"skipped: {why}")
        environment = {**os.environ, INSIDE: "1"}
        sys.exit(subprocess.run([*unshare(), sys.executable, *sys.argv], env=environment, check=False).returncode)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        # SIOCSIFFLAGS with IFF_UP and IFF_RUNNING.
        fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))


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


def running(program: Path) -> list[int]:
    """Processes of a program, however it was started."""
    return [pid for pid, words in processes() if str(program) in words[:2]]


def patiently(what: str, look: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Looks again and again until it is so."""
    end = time.monotonic() + patience_s
    while not look():
        if time.monotonic() > end:
            raise TimeoutError(f"after {patience_s:g} s still not: {what}")
        time.sleep(0.02)
