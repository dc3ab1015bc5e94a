"""The board's rules: what goes out next, what a death means, when something is given up."""

from __future__ import annotations

import signal
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import board as rules
from board import Board, Chunk, Death, Outcome


def jobs(n: int) -> list[str]:
    return [f"j{i:04}" for i in range(n)]


def board(ids: list[str], finished: set[str] | None = None, **more: Any) -> Board:
    return Board(dict.fromkeys(ids, 1.0), finished or set(), **more)


def drain(paper: Board, slots: int = 2, now: float = 0.0) -> list[Chunk]:
    chunks = []
    while chunk := paper.next(slots, now):
        chunks.append(chunk)
    return chunks


class Chunking(unittest.TestCase):
    def test_every_job_goes_out_once_and_in_order(self) -> None:
        for n in (1, 2, 7, 300, 5000):
            for pace in (None, 0.001, 0.2, 30.0, 500.0):
                measured: dict[str, Any] = {} if pace is None else {"seconds": pace * 10, "weighed": 10.0}
                paper = board(jobs(n), **measured)
                out = [i for chunk in drain(paper, slots=3) for i in chunk.ids]
                self.assertEqual(out, jobs(n), (n, pace))

    def test_what_is_finished_stays_at_home(self) -> None:
        paper = board(jobs(10), {"j0001", "j0009"})
        self.assertEqual(len(paper.waiting), 8)
        paper.finished.add("j0005")  # by another driver, meanwhile
        self.assertEqual([i for c in drain(paper) for i in c.ids], [i for i in jobs(10) if i[-1] not in "159"])
        self.assertTrue(paper.exhausted())

    def size(self, paper: Board, slots: int) -> int:
        chunk = paper.next(slots, 0.0)
        assert chunk is not None
        return len(chunk.ids)

    def test_a_first_chunk_is_a_probe(self) -> None:
        self.assertEqual(self.size(board(jobs(1000)), 2), rules.PROBE_JOBS)
        self.assertEqual(self.size(board(jobs(1000), threads=8), 2), 8 * rules.PROBE_JOBS)
        self.assertEqual(self.size(board(jobs(4)), 8), 1)

    def test_the_measured_rate_decides(self) -> None:
        cases = [
            # seconds a job, set-up of a process, jobs left, slots, jobs of a chunk
            (1.0, 0.0, 100_000, 2, 45),  # the time wished for
            (100.0, 0.0, 100_000, 2, 1),  # a long job is a chunk of its own
            (0.001, 0.0, 100_000, 2, rules.LARGEST_CHUNK),  # what goes with a call
            (1.0, 0.0, 60, 2, 15),  # half a fair share towards the end
            (1.0, 0.0, 3, 2, 1),
            (0.1, 0.0, 8, 2, 8),  # but not below a second of work
            (0.1, 0.0, 30, 2, 10),
            (0.1, 0.5, 300, 8, 40),  # nor below some set-ups of a process
        ]
        for pace, setup, left, slots, size in cases:
            paper = board(jobs(left), seconds=pace * 7, weighed=7.0, setup_s=setup)
            self.assertEqual(self.size(paper, slots), size, (pace, setup, left, slots))

    def test_a_heavy_job_counts_for_many_light_ones(self) -> None:
        weights = {job: 10.0 if k < 20 else 1.0 for k, job in enumerate(jobs(1000))}
        paper = Board(weights, set(), chunk_s=20.0, seconds=1.0, weighed=1.0)
        self.assertEqual([self.size(paper, 1) for _ in range(11)], [2] * 10 + [20])

    def test_slots_follow_the_nodes(self) -> None:
        nodes = [
            {"Alive": True, "Resources": {"CPU": 8.0, "memory": 2.0**33}},
            {"Alive": True, "Resources": {"CPU": 3.0, "memory": 1536 * 2.0**20}},
            {"Alive": False, "Resources": {"CPU": 64.0}},
            {"Alive": True, "Resources": {}},
        ]
        self.assertEqual([rules.room_of(nodes, k) for k in (1, 2, 4, 16)], [(11, 512), (5, 1024), (2, 4096), (0, 0)])


class ComingBack(unittest.TestCase):
    def setUp(self) -> None:
        self.board = board(jobs(6), seconds=1.0, weighed=1.0)
        self.chunk = Chunk(1, tuple(jobs(6)))
        self.board.waiting.clear()

    def back(self, outcome: Outcome, done: int = 0, chunk: Chunk | None = None, **more: Any) -> list[Death]:
        self.board.finished.update((chunk or self.chunk).ids[:done])
        return self.board.back(chunk or self.chunk, outcome, 0.0, **more)

    def test_a_whole_chunk_leaves_nothing(self) -> None:
        self.assertEqual(self.back(Outcome(0, jobs=6, seconds=3.0), done=6), [])
        self.assertTrue(self.board.exhausted())
        self.assertAlmostEqual(self.board.pace_s() or 0, 4.0 / 7)

    def test_a_suspect_runs_alone_and_first(self) -> None:
        self.back(Outcome(-signal.SIGABRT, ("j0002",)), done=2)
        self.assertEqual([c.ids for c in drain(self.board)], [("j0002",), ("j0003", "j0004", "j0005")])

    def test_three_deaths_are_poison(self) -> None:
        self.assertEqual(self.back(Outcome(-6, ("j0002",)), done=2), [])
        alone = Chunk(2, ("j0002",))
        self.assertEqual(self.back(Outcome(-6, ("j0002",)), chunk=alone), [])
        deaths = self.back(Outcome(101, ("j0002",), "panicked"), chunk=alone)
        self.assertEqual(deaths, [Death("j0002", 3, 101, "panicked")])
        self.assertNotIn("j0002", [i for c in drain(self.board) for i in c.ids])
        self.assertIn("j0002", self.board.finished)

    def test_threads_make_several_suspects_and_the_innocent_gets_away(self) -> None:
        self.back(Outcome(-11, ("j0000", "j0001")))
        self.back(Outcome(0), done=1, chunk=Chunk(2, ("j0000",)))
        self.back(Outcome(-11, ("j0001",)), chunk=Chunk(3, ("j0001",)))
        self.assertEqual([d.id for d in self.back(Outcome(-11, ("j0001",)), chunk=Chunk(4, ("j0001",)))], ["j0001"])
        self.assertIn("j0000", self.board.finished)

    def test_a_suspect_with_a_result_is_none(self) -> None:
        self.back(Outcome(-9, ("j0000",)), done=1)
        self.assertEqual(self.board.deaths, {})

    def test_a_lost_worker_accuses_nobody_and_halves_the_chunk(self) -> None:
        self.assertEqual(self.back(Outcome(None, said="worker lost")), [])
        self.assertEqual(drain(self.board), [])  # after a pause
        self.assertEqual([c.ids for c in drain(self.board, now=2.0)], [tuple(jobs(3)), tuple(jobs(6)[3:])])
        self.assertEqual(self.board.deaths, {})

    def test_one_job_that_loses_every_worker_is_poison(self) -> None:
        alone = Chunk(1, ("j0000",))
        found = [self.back(Outcome(None, said="out of memory"), chunk=alone) for _ in range(3)]
        self.assertEqual([len(f) for f in found], [0, 0, 1])

    def test_a_round_without_progress_waits_longer_each_time_and_ends(self) -> None:
        chunk, waited = self.chunk, []
        full = Outcome(5, said="disk full")
        while True:
            self.board.back(chunk, full, 100.0)
            if not self.board.again:
                break
            ((not_before, chunk),) = self.board.again
            self.board.again.clear()
            waited.append(not_before - 100.0)
        self.assertEqual(waited, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
        self.assertEqual(set(self.board.stuck), set(jobs(6)))
        self.assertTrue(self.board.exhausted())

    def test_progress_starts_the_count_anew(self) -> None:
        self.back(Outcome(5), done=1, chunk=Chunk(1, tuple(jobs(6)), fruitless=6))
        self.assertEqual([c.fruitless for c in drain(self.board)], [0])

    def test_a_copy_covers_its_original(self) -> None:
        self.board.finished.add("j0000")
        copy = self.board.copy(self.chunk)
        self.assertEqual(copy.ids, tuple(jobs(6)[1:]))
        self.back(Outcome(-9, ("j0001",)), elsewhere=frozenset(copy.ids))
        self.assertTrue(self.board.exhausted(), "the copy still has them")
        self.back(Outcome(-9), chunk=copy)
        self.assertEqual([c.ids for c in drain(self.board, now=2.0)], [copy.ids])

    def test_any_order_of_deaths_ends_with_every_job_accounted_for(self) -> None:
        """A cluster on paper: whatever dies, each job is done, poison or stuck, and only the guilty are poison."""
        guilty = {"j0003", "j0017", "j0018"}
        for seed in range(40):
            paper, state = board(jobs(40), chunk_s=5.0), seed * 2654435761 + 1
            poison: set[str] = set()
            clock = 0.0
            for _ in range(10_000):
                chunk = paper.next(2, clock)
                clock += 1.0
                if chunk is None:
                    if paper.exhausted():
                        break
                    continue
                state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
                outcome = Outcome(0, jobs=len(chunk.ids), seconds=1.0 * len(chunk.ids))
                for place, job in enumerate(chunk.ids):
                    if job in guilty:
                        outcome = Outcome(-6, (job,), jobs=place, seconds=float(place))
                        break
                    if (state >> 33) % 7 == 0 and place == (state >> 40) % len(chunk.ids):
                        outcome = Outcome(None)  # a node is gone; what was written stays
                        break
                    paper.finished.add(job)
                poison.update(d.id for d in paper.back(chunk, outcome, clock))
            self.assertTrue(paper.exhausted(), seed)
            self.assertEqual(paper.finished, set(jobs(40)), seed)
            self.assertLessEqual(guilty, poison, seed)
            self.assertEqual(paper.stuck, {}, seed)


if __name__ == "__main__":
    unittest.main()
