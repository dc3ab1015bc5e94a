"""Hands the jobs of a ghTrader batch to a Ray cluster, in chunks, until every job has a result or a cause.

The folder is the whole state: a job is done when DIR/results, DIR/failed or DIR/poison holds its file. Whatever dies
on the way, a worker, a node, the head or this driver, nothing is lost but unfinished work, and running it again goes
on from there. `ghtrader batch run --on ray://HOST:PORT` starts it; it needs Ray and the standard library.

Program, manifest, lake and folder have to be seen under the same paths by every node and by this machine.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import logging
import math
import os
import re
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TextIO

from board import Board, Chunk, Death, Outcome, room_of

# Exit codes of the contract: 2 and 4 are never retried by whoever called.
ALL_THERE, SOME_MISSING, REFUSED, OTHER_BUILD = 0, 1, 2, 4

# What Ray reruns by itself when a worker or a node is lost.
RAY_RETRIES = 5
# A chunk waits behind each running one, and one more: a CPU never idles for a round of the driver.
CHUNKS_PER_CPU = 3
# A copy of a straggler before that would only take CPU from it.
STRAGGLER_S = 5.0
# How long a cluster may have no node that is large enough: a launcher may be bringing one.
NODE_PATIENCE_S = 600.0
# How long the head may take to answer at the start.
START_PATIENCE_S = 10.0
CONNECT_TRIES = 3
# Times that the cluster is joined anew without a job settled in between.
JOINS_IN_VAIN = 3
LONGEST_LINE = 500

ID = re.compile(r"[0-9a-f]{64}")
FORM = 1


class Problem(Exception):
    """What ends the driver: code, what happened, what to do about it, and the exit code."""

    def __init__(self, code: str, what: str, remedy: str, exit_code: int) -> None:
        super().__init__(what)
        self.code, self.what, self.remedy, self.exit_code = code, what, remedy, exit_code

    def show(self, as_json: bool) -> None:
        """Prints it in the program's own form."""
        if as_json:
            classes = {SOME_MISSING: "unavailable", REFUSED: "user", OTHER_BUILD: "conflict"}
            error = {"code": self.code, "class": classes[self.exit_code], "what": self.what, "remedy": self.remedy}
            print(json.dumps({"schema_version": 1, "error": error}), flush=True)
        print(f"error[{self.code}]: {self.what}\nhelp: {self.remedy}", file=sys.stderr, flush=True)


# The folder of a batch.


def read_manifest(path: Path) -> dict[str, float]:
    """The jobs of a manifest with their weights, in its order. It is held against its own digest: nobody edits one."""
    remedy = "plan the batch again with `ghtrader batch plan SPEC.toml --out MANIFEST`; a manifest is never edited"

    def refused(what: str) -> Problem:
        return Problem("manifest_damaged", f"{path} is no manifest as it was planned: {what}", remedy, REFUSED)

    try:
        head, *lines = path.read_bytes().splitlines(keepends=True)
        last = json.loads(lines.pop())["digest"]
    except OSError as e:
        raise Problem("manifest_unreadable", f"cannot read {path}: {e}", remedy, REFUSED) from e
    except (ValueError, IndexError, KeyError, TypeError) as e:
        raise refused("its last line is no digest") from e
    digest = hashlib.sha256(b"".join([head, *lines])).hexdigest()
    if digest != last:
        raise refused(f"its lines have the digest {digest}, the last one says {str(last)[:80]}")
    try:
        form = json.loads(head)["ghtrader_batch"]
        jobs = {job["id"]: float(job["weight"]) for job in map(json.loads, lines)}
    except (ValueError, KeyError, TypeError) as e:
        raise refused(f"a line of it is no job: {e!r}") from e
    if form != FORM:
        raise Problem("manifest_form", f"{path} has form {form!r}, this driver reads {FORM}", remedy, REFUSED)
    bad = next((job for job, weight in jobs.items() if not ID.fullmatch(str(job)) or not 0 <= weight < math.inf), None)
    if bad is not None or not jobs or len(jobs) != len(lines):
        why = f"job {bad!r} has no proper id or weight" if bad is not None else "it names no job, or one twice"
        raise refused(why)
    # A job of no rows takes some time as well.
    return {job: max(weight, 1.0) for job, weight in jobs.items()}


def listing(out: Path) -> dict[str, set[str]]:
    """Ids by what there is of them: `results`, `failed`, `poison`. One listing, no look at a file."""
    found: dict[str, set[str]] = {}
    for kind in ("results", "failed", "poison"):
        try:
            with os.scandir(out / kind) as entries:
                names = (e.name for e in entries)
                found[kind] = {n[:-5] for n in names if n.endswith(".json") and not n.startswith(".")}
        except FileNotFoundError:
            found[kind] = set()
    return found


def poison_arguments(death: Death, out: Path) -> list[str]:
    """The program's own way to write `DIR/poison/<id>.json`: it knows the form, and seals it."""
    code = death.code
    how_it_died = [] if code is None else ["--exit-code", str(code)] if code >= 0 else ["--signal", str(-code)]
    return ["batch", "poison", "--out", str(out), "--id", death.id, *how_it_died, f"--stderr={death.said}"]


# On a node.


def digest_of(path: str) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


KNOWN_DIGESTS: dict[tuple[str, int, int, int, int], str] = {}


def run_chunk(call: dict[str, Any], ids: tuple[str, ...]) -> dict[str, Any]:
    """Runs one process over one chunk on the node that Ray chose; gives the fields of an `Outcome`.

    Never raises for what a job does. The process dies with its worker: a killed worker leaves nothing running.
    """
    node = socket.gethostname()
    try:
        node = f"{node} ({os.environ['RAY_NODE_IP']})" if "RAY_NODE_IP" in os.environ else node
        seen = os.stat(call["program"])
        key = (call["program"], seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)
        if key not in KNOWN_DIGESTS:
            KNOWN_DIGESTS[key] = digest_of(call["program"])
        digest = KNOWN_DIGESTS[key]
    except OSError as e:
        return {"code": 0, "node": node, "refusal": f"node {node} cannot read the program {call['program']}: {e}"}
    if digest != call["digest"]:
        wanted = call["digest"]
        return {
            "code": 0,
            "node": node,
            "refusal": f"node {node} has another program at {call['program']}: SHA-256 {digest}, not {wanted}",
        }
    libc, worker = ctypes.CDLL(None, use_errno=True), os.getpid()

    def die_with_worker() -> None:
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != worker:  # it died in between
            os._exit(1)

    # No name in a file system: a killed worker leaves no file behind either.
    with tempfile.TemporaryFile("w+") as jobs:
        jobs.write("".join(f"{i}\n" for i in ids))
        jobs.seek(0)
        begun_s = time.monotonic()
        memory = ["--memory-mib", str(call["memory_mib"])] if call["memory_mib"] else []
        with subprocess.Popen(
            [call["program"], *call["arguments"], *memory, "--jobs", "/dev/stdin"],
            stdin=jobs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=die_with_worker,
            env={**os.environ, **call["environment"]},
        ) as child:
            try:
                started, ended, over, lines, first_s = watch(child, call["job_limit_s"])
            finally:
                child.kill()
    code = child.returncode
    clean = code in (0, 1, 2, 4)
    suspects = over or ([] if clean else [i for i in started if i not in ended])
    said = lines[-1] if lines else ""
    if over:
        said = f"over the limit of {call['job_limit_s']:g} s for a job"
    now_s = time.monotonic()
    return {
        "code": code,
        "suspects": tuple(suspects),
        "said": said,
        "tail": " ".join(lines),
        "node": node,
        "seconds": now_s - (first_s or now_s),
        "jobs": len(ended),
        "setup_s": (first_s or now_s) - begun_s,
    }


def watch(
    child: subprocess.Popen[bytes], job_limit_s: float
) -> tuple[dict[str, float], set[str], list[str], deque[str], float | None]:
    """Follows a process's `start ID` and `done ID` lines until it ends or a job runs over its limit.

    Gives: jobs begun with their times, jobs ended, jobs over the limit, the last lines on stderr, and when the first
    job began.
    """
    started: dict[str, float] = {}
    ended: set[str] = set()
    said: deque[str] = deque(maxlen=2)
    first_s = None
    rest = {"out": b"", "err": b""}
    with selectors.DefaultSelector() as waiting:
        for name, pipe in (("out", child.stdout), ("err", child.stderr)):
            assert pipe is not None
            waiting.register(pipe, selectors.EVENT_READ, name)
        while waiting.get_map():
            for key, _ in waiting.select(timeout=1.0):
                data = os.read(key.fd, 1 << 16)
                if not data:
                    waiting.unregister(key.fileobj)
                *lines, rest[key.data] = (rest[key.data] + data).split(b"\n")
                if not data and rest[key.data]:
                    lines.append(rest[key.data])
                rest[key.data] = rest[key.data][-4096:]
                for line in lines:
                    text = line.decode("utf-8", "replace").strip()
                    if key.data == "err":
                        said.extend([text[-LONGEST_LINE:]] if text else [])
                        continue
                    word, _, job = text.partition(" ")
                    if word == "start":
                        started[job] = time.monotonic()
                        first_s = first_s or started[job]
                    elif word == "done":
                        ended.add(job)
            now_s = time.monotonic()
            over = [i for i, at in started.items() if i not in ended and now_s - at > job_limit_s]
            if over:
                child.kill()
                child.wait()
                return started, ended, over, said, first_s
    child.wait()
    return started, ended, [], said, first_s


# The cluster.


class Head:
    """Whether the cluster's head answers, looked at once a second."""

    def __init__(self, host: str, port: int, patience_s: float) -> None:
        self.host, self.port, self.patience_s = host, port, patience_s
        self.silent_since: float | None = None
        self.looked, self.was_there = -math.inf, False

    def answers(self) -> bool:
        """Whether somebody listens there."""
        try:
            with socket.create_connection((self.host, self.port), timeout=2.0):
                return True
        except OSError:
            return False

    def look(self, now: float) -> None:
        """Says what has changed; raises when it has been silent for too long."""
        if now - self.looked < 1.0:
            return
        self.looked = now
        if self.answers():
            if self.silent_since is not None:
                say(f"the cluster's head answers again after {now - self.silent_since:.0f} s")
            self.silent_since, self.was_there = None, True
        elif not self.was_there:
            return  # whoever joins says what is wrong
        elif self.silent_since is None:
            self.silent_since = now
            say(f"the cluster's head {self.host}:{self.port} does not answer; waiting {self.patience_s:g} s for it")
        elif now - self.silent_since >= self.patience_s:
            raise head_gone(self.host, self.port, now - self.silent_since)


def head_gone(host: str, port: int, silent_s: float) -> Problem:
    """The head did not answer for so long."""
    return Problem(
        "ray_head_gone",
        f"the head of the Ray cluster at {host}:{port} has not answered for {silent_s:.0f} s",
        "start the head again and repeat the command: results that are there are kept",
        SOME_MISSING,
    )


def in_child(work: Callable[[], dict[str, Any]], head: Head) -> dict[str, Any]:
    """Does the work in a child, and looks after the head meanwhile; gives what the child brings back.

    Ray waits in silence for a head that is gone, and ends its process when another one has taken its place: neither
    may be the end of the batch. What Ray writes on its way out goes nowhere but into `lost`.
    """
    reading, writing = os.pipe()
    parent = os.getpid()
    with tempfile.TemporaryFile() as noise:
        child = os.fork()
        if child == 0:
            try:
                os.close(reading)
                die_with(parent)
                bring_back(work, writing, noise.fileno())
            finally:
                os._exit(0)  # whatever it was, the parent's way is not the child's
        os.close(writing)
        said = b""
        try:
            with os.fdopen(reading, "rb", buffering=0) as pipe:
                while True:
                    if select.select([pipe], [], [], 0.5)[0]:
                        data = pipe.read(1 << 16)
                        if not data:
                            break
                        said += data
                    head.look(time.monotonic())
        except Stopped:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            raise
        except Problem:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        _, status = os.waitpid(child, 0)
        if said:
            brought: dict[str, Any] = json.loads(said)
            return brought
        noise.seek(0)
        lines = noise.read().decode("utf-8", "replace").splitlines()
        words = next((line for line in lines if "Check failed" in line), lines[-1] if lines else "no word")
        ended = how(os.waitstatus_to_exitcode(status))
        return {"lost": f"Ray's process ended with {ended}: {words[-LONGEST_LINE // 2 :]}"}


def bring_back(work: Callable[[], dict[str, Any]], writing: int, noise: int) -> None:
    """The child's side: does the work, and writes what came of it as one document."""
    global voice
    voice = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(noise, 2)
    try:
        brought = work()
    except Problem as problem:
        brought = {"problem": [problem.code, problem.what, problem.remedy, problem.exit_code]}
    except Stopped:
        return
    except Exception as e:
        brought = {"lost": words_of(e)}
    with os.fdopen(writing, "w") as pipe:
        pipe.write(json.dumps(brought))


def die_with(parent: int) -> None:
    """Has this process die with its parent."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died in between
        os._exit(1)


def words_of(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST_LINE]


def split_address(address: str) -> tuple[str, int]:
    """`ray://HOST:PORT` or `HOST:PORT` as host and port."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise Problem(
            "ray_address",
            f"{address!r} is no address of a Ray cluster",
            "write ray://HOST:PORT, port 1 to 65535",
            REFUSED,
        )
    return host.strip("[]"), int(port)


def ray_address(host: str, port: int, start_s: float) -> str:
    """The address in the form that `ray.init` wants for what listens there.

    A head listens on two ports: one for nodes and drivers on them (6379), one for clients from anywhere (10001). Both
    speak gRPC; only the former knows this call. Where TLS or a token stands before it, the answer is no "unknown call".
    """
    import grpc  # it comes with Ray

    deadline = time.monotonic() + start_s
    while True:
        try:
            with socket.create_connection((host, port), timeout=2.0):
                break
        except OSError as e:
            if time.monotonic() > deadline:
                raise Problem(
                    "ray_unreachable",
                    f"no Ray cluster answers at {host}:{port}: {e}",
                    "give the address of a running head; `ray status` shows it",
                    SOME_MISSING,
                ) from e
            time.sleep(0.5)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with grpc.insecure_channel(where) as channel:
        try:
            channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")(b"", timeout=5.0)
            return where
        except grpc.RpcError as e:
            client = e.code() == grpc.StatusCode.UNIMPLEMENTED or port == 10001
            return f"ray://{where}" if client else where


def connect(address: str, start_s: float, patience_s: float) -> Any:
    """Connects to the cluster; gives Ray."""
    # Ours shall be the first word when the head is gone; Ray's own abort comes after it.
    os.environ["RAY_gcs_rpc_server_reconnect_timeout_s"] = str(int(patience_s) + 60)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as e:
        raise Problem(
            "ray_missing", f"this Python ({sys.executable}) has no Ray: {e}", "run `cargo xtask setup --ray`", REFUSED
        ) from e
    host, port = split_address(address)
    where = ray_address(host, port, start_s)
    for tried in range(CONNECT_TRIES):
        try:
            ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
            return ray
        except Exception as e:
            what = words_of(e)
            # The head forks a server for each client, which now and then does not come up.
            if where.startswith("ray://") and tried + 1 < CONNECT_TRIES and "Initialization failure" in what:
                continue
            raise not_joined(address, what) from e
    raise AssertionError("unreachable")


def not_joined(address: str, what: str) -> Problem:
    """Why the cluster was not joined, by what Ray says."""
    if "ersion mismatch" in what:
        remedy = "install the same Ray and the same Python on every machine of the cluster and here"
        return Problem("ray_version", f"the cluster at {address} is another Ray: {what}", remedy, OTHER_BUILD)
    remedy = "run on a node of the cluster, or give the client port of its head (10001 unless set otherwise)"
    return Problem("ray_unreachable", f"cannot join the cluster at {address}: {what}", remedy, SOME_MISSING)


@dataclass
class Flight:
    """A chunk on its way."""

    chunk: Chunk
    since: float
    copy: bool = False


class Driver:
    """Keeps the cluster busy with what the board gives, until nothing is left."""

    def __init__(self, ray: Any, board: Board, doubtful: set[str], call: dict[str, Any], out: Path) -> None:
        self.ray, self.board, self.doubtful, self.call, self.out = ray, board, doubtful, call, out
        self.flying: dict[Any, Flight] = {}
        self.slots, self.memory_mib, self.looked_slots, self.roomless_since = 0, 0, -math.inf, math.inf
        self.begun = time.monotonic()
        self.reused = len(board.finished)
        self.shown = -math.inf
        self.run_chunk = ray.remote(
            num_cpus=board.threads, max_retries=RAY_RETRIES, retry_exceptions=False, scheduling_strategy="SPREAD"
        )(run_chunk)

    def run(self) -> None:
        """Until every job is finished or given up."""
        try:
            while self.flying or not self.board.exhausted():
                self.follow_cluster()
                self.hand_out()
                self.take_back()
                self.progress()
        finally:
            # Copies of what is done, and everything when this ends by an error.
            for ref in self.flying:
                self.ray.cancel(ref, force=True)

    def follow_cluster(self) -> None:
        """How many processes the cluster has room for, once a second: nodes come and go."""
        now = time.monotonic()
        if now - self.looked_slots < 1.0:
            return
        self.slots, self.memory_mib = room_of(self.ray.nodes(), self.board.threads)
        self.looked_slots = now
        if self.slots:
            self.roomless_since = math.inf
            return
        self.roomless_since = min(self.roomless_since, now)
        if now - self.roomless_since > NODE_PATIENCE_S:
            raise Problem(
                "ray_no_room",
                f"for {NODE_PATIENCE_S:.0f} s no node of the cluster had {self.board.threads} CPUs",
                "add a node, or give fewer --threads",
                SOME_MISSING,
            )

    def hand_out(self) -> None:
        """Fills the window; with nothing left to hand out and room, the oldest chunk goes out again."""
        known = self.board.pace_s() is not None
        window = max(1, self.slots) * (CHUNKS_PER_CPU if known else 1)
        now = time.monotonic()
        while len(self.flying) < window and (chunk := self.board.next(self.slots, now)):
            self.submit(chunk)
        if self.board.exhausted() and len(self.flying) < self.slots:
            twice = {f.chunk.number for f in self.flying.values() if f.copy}
            single = [f for f in self.flying.values() if f.chunk.number not in twice]
            oldest = min(single, key=lambda f: f.since, default=None)
            if oldest and now - oldest.since > max(STRAGGLER_S, 1.5 * self.board.expected_s(oldest.chunk.ids)):
                copy = self.board.copy(oldest.chunk)
                if copy.ids:
                    self.submit(copy, copy=True)

    def submit(self, chunk: Chunk, copy: bool = False) -> None:
        """Hands one chunk to Ray."""
        call = {**self.call, "memory_mib": self.call["memory_mib"] or self.memory_mib}
        self.flying[self.run_chunk.remote(call, chunk.ids)] = Flight(chunk, time.monotonic(), copy)

    def take_back(self) -> None:
        """Waits a moment, and takes back what has come home; one listing for all of it."""
        if not self.flying:
            time.sleep(0.2)  # what came back in vain waits for its time
            return
        ready, _ = self.ray.wait(list(self.flying), timeout=0.5)
        if not ready:
            return
        ready, _ = self.ray.wait(list(self.flying), num_returns=len(self.flying), timeout=0)
        outcomes = [(self.flying.pop(ref), self.outcome(ref)) for ref in ready]
        refusal = next((o for _, o in outcomes if o.refusal or o.code in (REFUSED, OTHER_BUILD)), None)
        if refusal:
            raise refused(refusal)
        for flight, outcome in outcomes:
            if outcome.code in (ALL_THERE, SOME_MISSING):
                self.doubtful.difference_update(flight.chunk.ids)
        self.board.finished.update(set().union(*listing(self.out).values()) - self.doubtful)
        for flight, outcome in outcomes:
            copies = (f.chunk for f in self.flying.values() if f.chunk.number == flight.chunk.number)
            elsewhere = frozenset(i for copy in copies for i in copy.ids)
            for death in self.board.back(flight.chunk, outcome, time.monotonic(), elsewhere):
                run_here([self.call["program"], *poison_arguments(death, self.out)])
                say(f"poison {death.id}: died {death.deaths} times, last by {how(death.code)}: {death.said}")
        for ref in [ref for ref, f in self.flying.items() if self.board.finished.issuperset(f.chunk.ids)]:
            self.ray.cancel(ref, force=True)
            del self.flying[ref]

    def outcome(self, ref: Any) -> Outcome:
        """What a chunk's process brought home; a lost worker is an outcome as well."""
        try:
            return Outcome(**self.ray.get(ref))
        except self.ray.exceptions.RayTaskError as e:
            # No job can raise there: it is the node (no memory for a process, no temporary folder) or a defect.
            return Outcome(code=None, said=words_of(e.cause))
        except self.ray.exceptions.RayError as e:
            return Outcome(code=None, said=f"worker lost: {words_of(e)}")

    def progress(self) -> None:
        """A line each five seconds."""
        now = time.monotonic()
        if now - self.shown < 5.0:
            return
        self.shown = now
        total, done = len(self.board.weights), len(self.board.finished.intersection(self.board.weights))
        seconds = now - self.begun
        rate = (done - self.reused) / seconds if seconds > 0 else 0.0
        left = f"{rate:.1f} jobs/s, about {(total - done) / rate:.0f} s left" if rate else "nothing measured yet"
        where = (
            f"{len(self.flying)} chunks in flight, room for {self.slots}"
            if self.slots
            else f"no node has {self.board.threads} CPUs"
        )
        say(f"{seconds:7.1f} s  {done}/{total} jobs, {len(self.board.deaths)} suspected; {where}; {left}")


def refused(outcome: Outcome) -> Problem:
    """A node refuses the batch: as with any other scheduler, no other try can help."""
    remedy = "put the same program, manifest and data on every node under the same path"
    if outcome.refusal:
        return Problem("other_build", outcome.refusal, remedy, OTHER_BUILD)
    what = f"on node {outcome.node} the program refused with exit {outcome.code}: {outcome.tail}"
    return Problem("batch_refused", what, remedy, OTHER_BUILD if outcome.code == OTHER_BUILD else REFUSED)


def how(code: int | None) -> str:
    """An exit in words."""
    if code is None:
        return "the loss of its worker"
    return f"signal {-code}" if code < 0 else f"exit {code}"


# Where a person reads, if standard error is Ray's.
voice: TextIO | None = None


def say(line: str) -> None:
    """A line for the person who waits."""
    print(f"ray: {line}", file=voice or sys.stderr, flush=True)


def bounded(low: float, high: float) -> Callable[[str], float]:
    """A number of a flag, within bounds."""

    def number(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not in [{low:g}, {high:g}]")
        return value

    return number


def arguments(argv: list[str]) -> argparse.Namespace:
    """The flags; what stands behind `--` goes to the program as it is."""
    parser = argparse.ArgumentParser(prog="ghtrader batch run --on", allow_abbrev=False)
    parser.add_argument("--address", required=True, metavar="ray://HOST:PORT")
    parser.add_argument("--program", required=True, type=Path)
    parser.add_argument("--manifest", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--threads", type=lambda t: int(bounded(1, 1024)(t)), default=1)
    parser.add_argument("--memory-mib", type=lambda t: int(bounded(0, 1e9)(t)), default=0)
    parser.add_argument("--chunk-s", type=bounded(1, 3600), default=45.0)
    parser.add_argument("--job-limit-s", type=bounded(1, 604800), default=3600.0)
    parser.add_argument("--deaths", type=lambda t: int(bounded(1, 100)(t)), default=3)
    parser.add_argument("--head-patience-s", type=bounded(1, 3600), default=60.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def run_here(words: list[str], may_be: tuple[int, ...] = (0,)) -> str:
    """Runs the program on this machine; gives what it printed."""
    try:
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as e:
        raise Problem("program_missing", f"cannot run {words[0]}: {e}", "build it, or name another", REFUSED) from e
    if ended.returncode not in may_be:
        said = " ".join(ended.stderr.split())[:LONGEST_LINE]
        exit_code = ended.returncode if ended.returncode in (REFUSED, OTHER_BUILD) else SOME_MISSING
        remedy = "mend it and repeat the command"
        what = f"`{' '.join(words[:3])}` ended with {how(ended.returncode)}: {said}"
        raise Problem("program_failed", what, remedy, exit_code)
    return ended.stdout


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that go with the batch: settings do, what gives access stays at home."""
    secret = ("TOKEN", "PASSWORD", "SECRET", "DIFF_USER")
    return {k: v for k, v in environment.items() if k.startswith("GHTRADER_") and not any(s in k for s in secret)}


def batch(given: argparse.Namespace) -> int:
    """Runs a batch; gives the exit code."""
    begun = time.monotonic()
    program, manifest, out = (p.resolve() for p in (given.program, given.manifest, given.out))
    weights = read_manifest(manifest)
    try:
        digest = digest_of(str(program))
        (out / "results").mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise Problem("unwritable", f"cannot prepare the batch: {e}", "mend it and repeat the command", REFUSED) from e
    arguments = ["--manifest", str(manifest), "--out", str(out), *given.rest]

    def status() -> dict[str, Any]:
        """What is there, each file held against its seal: a name says less."""
        found: dict[str, Any] = json.loads(run_here([str(program), "batch", "status", *arguments, "--json"], (0, 1)))
        return found

    call = {
        "program": str(program),
        "digest": digest,
        "arguments": ["batch", "run", *arguments, "--threads", str(given.threads)],
        "environment": settings_of(os.environ),
        "job_limit_s": given.job_limit_s,
        "memory_mib": given.memory_mib,
    }
    head = Head(*split_address(given.address), given.head_patience_s)
    reused, joins, before, shared = -1, 0, -1, True
    while True:
        there = set().union(*listing(out).values()) & weights.keys()
        found: dict[str, Any] = status() if there else {"results": 0, "damaged": []}
        doubtful = set(found["damaged"])
        board = Board(weights, there - doubtful, given.threads, given.chunk_s, given.deaths)
        say(f"{len(weights)} jobs, {len(board.finished)} settled, {len(board.waiting)} to do")
        if not board.waiting:
            break
        if reused < 0:
            reused = found["results"]
            # Once and here, rather than by the first processes of every node, which may only read the lake.
            run_here([str(program), "batch", "features", "--manifest", str(manifest), *given.rest])
        # One that was there before is waited for as long as one that goes.
        start_s = START_PATIENCE_S if before < 0 else given.head_patience_s
        brought = in_child(partial(hand_over, given, board, doubtful, call, out, start_s), head)
        if "problem" in brought:
            raise Problem(*brought["problem"])
        if "lost" not in brought:
            shared = brought["shared"]
            break
        joins = joins + 1 if len(board.finished) == before else 0
        before = len(board.finished)
        if joins >= JOINS_IN_VAIN:
            remedy = "look after the cluster, and repeat the command: results that are there are kept"
            raise Problem("ray_lost", f"the cluster is lost again and again: {brought['lost']}", remedy, SOME_MISSING)
        say(f"the cluster was lost, joining it anew: {brought['lost']}")
    after = status()
    summary = {
        "total": len(weights),
        "done": after["results"],
        "reused": reused if reused >= 0 else after["results"],
        "failed": after["failed"],
        "poison": after["poison"],
        "missing": after["missing"],
        "seconds": round(time.monotonic() - begun, 3),
    }
    print(json.dumps(summary), flush=True)
    if after["missing"]:
        remedy = "mend the cause and repeat the command" if shared else f"is {out} one folder shared by every node?"
        what = f"{after['missing']} of {len(weights)} jobs have no result"
        raise Problem("jobs_missing", what, remedy, SOME_MISSING)
    return ALL_THERE if after["results"] == len(weights) else SOME_MISSING


def hand_over(
    given: argparse.Namespace, board: Board, doubtful: set[str], call: dict[str, Any], out: Path, start_s: float
) -> dict[str, Any]:
    """Joins the cluster, runs everything on it, and leaves nothing running, whichever way it ends."""
    ray = connect(given.address, start_s, given.head_patience_s)
    stop_on_signals(then=signal.SIG_IGN)  # a second one is the parent's, and this process goes with it
    try:
        Driver(ray, board, doubtful, call, out).run()
    finally:
        ray.shutdown()
    causes = Counter((o.node, o.code, o.tail or o.said or "no word") for o in board.stuck.values())
    for (node, code, word), jobs in causes.most_common(5):
        say(f"{jobs} jobs have no result: on node {node} the process ended with {how(code)}: {word}")
    return {"shared": not any(outcome.code == ALL_THERE for outcome in board.stuck.values())}


class Stopped(BaseException):
    """SIGINT or SIGTERM; no error, so nothing catches it on the way."""


def stop_on_signals(then: signal.Handlers) -> None:
    """SIGTERM and SIGINT end by `Stopped`, so that what runs on the nodes is cancelled; a second one does `then`."""

    def stop(number: int, _: object) -> NoReturn:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, then)
        raise Stopped(number)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)


def main(argv: list[str]) -> int:
    """The driver as a program."""
    given = arguments(argv)
    stop_on_signals(then=signal.SIG_DFL)
    try:
        return batch(given)
    except Problem as problem:
        problem.show(given.json)
        return problem.exit_code
    except Stopped as stopped:
        say("stopped: results that are there are kept; the same command goes on")
        return 128 + int(stopped.args[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
