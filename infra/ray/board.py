"""What of a batch is left to do: who is next, who is suspected, how long a job takes.

Pure: no Ray, no clock, no file. The driver tells it what came back, and asks what goes out.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Ids have 64 characters; Ray sends arguments below 100 kB with the call, larger ones by a store that can lose them.
LARGEST_CHUNK = 1000
# Jobs of a first chunk for each thread, as long as nobody knows how long a job takes.
PROBE_JOBS = 4
# A shorter chunk costs more to hand out than it is worth spreading; and a process shall work longer than it prepares.
SHORTEST_CHUNK_S = 1.0
SHORTEST_IN_SETUPS = 8.0
# Rounds that bring nothing, with a pause that doubles: about a minute, in which a shared folder shows what was written.
FRUITLESS_ROUNDS = 6


@dataclass(frozen=True)
class Chunk:
    """Jobs for one process, in the order of the manifest: neighbours read the same rows."""

    number: int
    ids: tuple[str, ...]
    # Rounds in a row that brought nothing.
    fruitless: int = 0


@dataclass(frozen=True)
class Outcome:
    """How the process of a chunk ended."""

    # Exit code; negative: the signal that ended it; None: the worker or its node was lost, whatever Ray tried.
    code: int | None
    # Jobs that were begun and not ended when it died.
    suspects: tuple[str, ...] = ()
    # Last line on stderr, or why it was ended; and the last few.
    said: str = ""
    tail: str = ""
    node: str = ""
    # Seconds from its first job on, and jobs that ended in them: the measured rate.
    seconds: float = 0.0
    jobs: int = 0
    # Seconds before its first job.
    setup_s: float = 0.0
    # It did not run there, and must not run anywhere.
    refusal: str = ""


@dataclass(frozen=True)
class Death:
    """The last of a job's deaths, as it is recorded."""

    id: str
    deaths: int
    code: int | None
    said: str


@dataclass
class Board:
    """What is waiting, who is suspected, how long a job takes; the driver's every decision."""

    # Jobs in the order of the manifest, with their weights: how long one takes beside another.
    weights: dict[str, float]
    finished: set[str]
    threads: int = 1
    chunk_s: float = 45.0
    deaths_allowed: int = 3
    # Came back: (not before, chunk).
    again: list[tuple[float, Chunk]] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    # Given up without a death: (last word, exit code, node).
    stuck: dict[str, Outcome] = field(default_factory=dict)
    # Measured: seconds for so much weight, and the longest set-up of a process.
    seconds: float = 0.0
    weighed: float = 0.0
    setup_s: float = 0.0
    numbers: int = 0
    waiting: deque[str] = field(init=False)
    waiting_weight: float = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = deque(i for i in self.weights if i not in self.finished)
        self.waiting_weight = sum(self.weights[i] for i in self.waiting)

    def pace_s(self) -> float | None:
        """Seconds of one slot for a unit of weight; None before anything was measured."""
        return max(self.seconds / self.weighed, 1e-12) if self.weighed else None

    def expected_s(self, ids: Iterable[str]) -> float:
        """How long these jobs take one slot, by the rate so far."""
        return sum(self.weights[i] for i in ids) * (self.pace_s() or math.inf)

    def chunk_weight(self, slots: int, pace_s: float) -> float:
        """Weight of the next chunk: the time wished for, but never more than half a fair share of what is left.

        So chunks become smaller towards the end, and the slots end together.
        """
        wished = self.chunk_s / pace_s
        fair = self.waiting_weight / (2 * max(slots, 1))
        least = max(SHORTEST_CHUNK_S, SHORTEST_IN_SETUPS * self.setup_s) / pace_s
        return max(min(wished, fair), min(wished, least))

    def next(self, slots: int, now: float) -> Chunk | None:
        """The next chunk to hand out; None if there is nothing, or nothing yet."""
        for place, (not_before, chunk) in enumerate(self.again):
            if not_before <= now:
                del self.again[place]
                left = tuple(i for i in chunk.ids if i not in self.finished)
                return self._chunk(left, chunk.fruitless) if left else self.next(slots, now)
        ids: list[str] = []
        pace_s, weight = self.pace_s(), 0.0
        room = math.inf if pace_s is None else self.chunk_weight(slots, pace_s)
        probe = min(PROBE_JOBS * self.threads, math.ceil(len(self.waiting) / (2 * max(slots, 1))))
        most = probe if pace_s is None else LARGEST_CHUNK
        while self.waiting and len(ids) < most:
            next_weight = self.weights[self.waiting[0]]
            if ids and weight + next_weight / 2 > room:
                break
            job = self.waiting.popleft()
            self.waiting_weight -= next_weight
            if job not in self.finished:  # another driver may have done it
                ids.append(job)
                weight += next_weight
        return self._chunk(tuple(ids)) if ids else None

    def exhausted(self) -> bool:
        """Nothing waits, neither now nor later."""
        return not self.waiting and not self.again

    def copy(self, chunk: Chunk) -> Chunk:
        """What is left of a straggler once more: a job that one of both has finished is skipped by the other."""
        return Chunk(chunk.number, tuple(i for i in chunk.ids if i not in self.finished), chunk.fruitless)

    def back(self, chunk: Chunk, outcome: Outcome, now: float, elsewhere: frozenset[str] = frozenset()) -> list[Death]:
        """Takes a chunk back after `finished` was brought up to date; gives the jobs that are poison by now.

        What is left goes out again: a suspect alone, so that it harms nobody else; what was lost with its worker in
        halves, so that one that eats its node's memory is found; the rest as it is. Jobs `elsewhere` are in another
        process's hands.
        """
        if outcome.jobs:
            self.seconds += outcome.seconds
            # Which of them ended is not told; on the average each is as heavy as its chunk's.
            self.weighed += sum(self.weights[i] for i in chunk.ids) * outcome.jobs / len(chunk.ids)
            self.setup_s = max(self.setup_s, outcome.setup_s)
        left = [i for i in chunk.ids if i not in self.finished]
        progress = len(left) < len(chunk.ids)
        suspects = [i for i in left if i in outcome.suspects]
        if outcome.code is None and len(left) == 1:
            suspects = left
        poison = []
        for job in suspects:
            self.deaths[job] += 1
            if self.deaths[job] >= self.deaths_allowed:
                self.finished.add(job)
                poison.append(Death(job, self.deaths[job], outcome.code, outcome.said))
            elif job not in elsewhere:
                self._requeue([job], 0, now, first=True)
        rest = [i for i in left if i not in suspects and i not in elsewhere]
        if not rest:
            return poison
        fruitless = 0 if progress or suspects else chunk.fruitless + 1
        if fruitless > FRUITLESS_ROUNDS:
            self.stuck.update((i, outcome) for i in rest)
            self.finished.update(rest)
            return poison
        halves = [rest]
        if outcome.code is None:
            middle = (len(rest) + 1) // 2
            halves = [rest[:middle], rest[middle:]]
        for half in filter(None, halves):
            self._requeue(half, fruitless, now)
        return poison

    def _requeue(self, ids: list[str], fruitless: int, now: float, first: bool = False) -> None:
        entry = (now + (2.0 ** (fruitless - 1) if fruitless else 0.0), self._chunk(tuple(ids), fruitless))
        self.again.insert(0, entry) if first else self.again.append(entry)

    def _chunk(self, ids: tuple[str, ...], fruitless: int = 0) -> Chunk:
        self.numbers += 1
        return Chunk(self.numbers, ids, fruitless)


def room_of(nodes: Iterable[dict[str, Any]], threads: int) -> tuple[int, int]:
    """Processes of so many threads that run at a time, and MiB for each, by Ray's list of nodes.

    Ray knows the limits of a container; a process that looks at its machine does not. The smallest share counts.
    """
    slots, memory = 0, math.inf
    for node in nodes:
        of_node = node.get("Resources", {})
        cpus = int(of_node.get("CPU", 0)) if node.get("Alive") else 0
        if cpus >= threads:
            slots += cpus // threads
            memory = min(memory, of_node.get("memory", math.inf) / cpus * threads)
    return slots, int(memory / 2**20) if memory < math.inf else 0
