"""The driver's rules, without Ray: what goes out next, what a death means, how a process is watched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import driver
from driver import Board, Chunk, Outcome


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
                measured = {} if pace is None else {"seconds": pace * 10, "weighed": 10.0}
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
        self.assertEqual(self.size(board(jobs(1000)), 2), driver.PROBE_JOBS)
        self.assertEqual(self.size(board(jobs(1000), threads=8), 2), 8 * driver.PROBE_JOBS)
        self.assertEqual(self.size(board(jobs(4)), 8), 1)

    def test_the_measured_rate_decides(self) -> None:
        cases = [
            # seconds a job, set-up of a process, jobs left, slots, jobs of a chunk
            (1.0, 0.0, 100_000, 2, 45),  # the time wished for
            (100.0, 0.0, 100_000, 2, 1),  # a long job is a chunk of its own
            (0.001, 0.0, 100_000, 2, driver.LARGEST_CHUNK),  # what goes with a call
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
            {"Alive": True, "Resources": {"CPU": 8.0}},
            {"Alive": True, "Resources": {"CPU": 3.0}},
            {"Alive": False, "Resources": {"CPU": 64.0}},
            {"Alive": True, "Resources": {}},
        ]
        self.assertEqual([driver.slots_of(nodes, k) for k in (1, 2, 4, 16)], [11, 5, 2, 0])


class ComingBack(unittest.TestCase):
    def setUp(self) -> None:
        self.board = board(jobs(6), seconds=1.0, weighed=1.0)
        self.chunk = Chunk(1, tuple(jobs(6)))
        self.board.waiting.clear()

    def back(self, outcome: Outcome, done: int = 0, chunk: Chunk | None = None, **more: Any) -> list[driver.Death]:
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
        self.assertEqual(deaths, [driver.Death("j0002", 3, 101, "panicked")])
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


def manifest(folder: Path, ids: list[str], form: int = 1) -> Path:
    """A manifest in the program's form, as far as the driver reads it."""
    lines = [{"ghtrader_batch": form}, *({"id": job, "weight": k} for k, job in enumerate(ids, 1))]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path = folder / "manifest"
    path.write_text(text + json.dumps({"digest": hashlib.sha256(text.encode()).hexdigest()}) + "\n")
    return path


class Files(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def test_a_manifest_gives_ids_and_weights_in_order(self) -> None:
        path = manifest(self.dir, ["c" * 64, "a" * 64, "b" * 64])
        self.assertEqual(driver.read_manifest(path), {"c" * 64: 1.0, "a" * 64: 2.0, "b" * 64: 3.0})

    def test_a_manifest_that_was_touched_is_refused(self) -> None:
        text = manifest(self.dir, ["a" * 64, "b" * 64]).read_text()
        lines = text.splitlines(keepends=True)
        cases = [
            ("", "no digest"),
            (lines[0], "no digest"),
            ("".join(lines[:2] + lines[3:]), "have the digest"),
            (text.replace('"weight": 2', '"weight": 3'), "have the digest"),
            (text[:-2], "no digest"),
            ("{}\n" * 3, "no digest"),
            ("[]\n", "no digest"),
        ]
        for changed, word in cases:
            self.refused(changed, word, "manifest_damaged")

    def test_a_manifest_that_was_sealed_wrong_is_refused(self) -> None:
        for ids, word in (([], "names no job"), (["a" * 64] * 2, "or one twice"), (["../x"], "no proper id")):
            self.refused(manifest(self.dir, ids).read_text(), word, "manifest_damaged")
        self.refused(manifest(self.dir, ["a" * 64], form=2).read_text(), "form 2", "manifest_form")

    def refused(self, text: str, word: str, code: str) -> None:
        path = self.dir / "changed"
        path.write_text(text)
        with self.assertRaises(driver.Problem, msg=text) as caught:
            driver.read_manifest(path)
        self.assertIn(word, caught.exception.what)
        self.assertEqual((caught.exception.code, caught.exception.exit_code), (code, driver.REFUSED))

    def test_a_listing_sees_whole_files_only(self) -> None:
        for name in ("results/a.json", "results/.tmp-b-host-1", "results/.c.json", "failed/d.json", "poison/e.json"):
            path = self.dir / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("{}")
        self.assertEqual(driver.listing(self.dir), {"results": {"a"}, "failed": {"d"}, "poison": {"e"}})
        self.assertEqual(driver.listing(self.dir / "none"), {"results": set(), "failed": set(), "poison": set()})

    def test_poison_is_recorded_by_the_program(self) -> None:
        cases = [(-6, ["--signal", "6"]), (101, ["--exit-code", "101"]), (None, [])]
        for code, flags in cases:
            words = driver.poison_arguments(driver.Death("x", 3, code, "boom"), Path("o"))
            self.assertEqual(words, ["batch", "poison", "--out", "o", "--id", "x", *flags, "--stderr", "boom"])

    def test_an_address_is_checked(self) -> None:
        self.assertEqual(driver.split_address("ray://head:10001"), ("head", 10001))
        self.assertEqual(driver.split_address("[::1]:6379"), ("::1", 6379))
        for bad in ("head", "ray://head", "ray://:1", "ray://head:0", "ray://head:65536", "ray://head:six"):
            with self.assertRaises(driver.Problem, msg=bad) as caught:
                driver.split_address(bad)
            self.assertEqual((caught.exception.code, caught.exception.exit_code), ("ray_address", driver.REFUSED))

    def test_a_bound_that_is_exceeded_is_refused(self) -> None:
        given = ["--address", "ray://h:1", "--program", "p", "--manifest", "m", "--out", "o"]
        self.assertEqual(driver.arguments([*given, "--threads", "8", "--", "--root", "r"]).rest, ["--root", "r"])
        for flag, value in (("--threads", "0"), ("--chunk-s", "0.5"), ("--deaths", "101"), ("--job-limit-s", "nan")):
            with self.assertRaises(SystemExit) as ended, redirect_stderr(io.StringIO()) as said:
                driver.arguments([*given, flag, value])
            self.assertEqual(ended.exception.code, driver.REFUSED)
            self.assertIn(value, said.getvalue())


class OnANode(unittest.TestCase):
    """One process for one chunk, as a Ray worker runs it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def program(self, body: str) -> dict[str, object]:
        path = self.dir / "program"
        jobs_of = "ids = open(sys.argv[sys.argv.index('--jobs') + 1]).read().split()"
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{jobs_of}\n{textwrap.dedent(body)}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        digest = driver.digest_of(str(path))
        call: dict[str, object] = {"program": str(path), "digest": digest, "arguments": ["batch", "run"]}
        return {**call, "environment": {}, "job_limit_s": 60.0}

    def run_chunk(self, call: dict[str, object], *ids: str) -> Outcome:
        return Outcome(**driver.run_chunk(call, ids))

    def test_jobs_are_counted_as_they_end(self) -> None:
        outcome = self.run_chunk(self.program("for i in ids: print('start', i); print('done', i)"), "a", "b")
        self.assertEqual((outcome.code, outcome.jobs, outcome.suspects), (0, 2, ()))

    def test_a_dead_process_names_its_suspects_and_its_last_word(self) -> None:
        body = """
        print('start a'); print('done a'); print('start b', flush=True)
        sys.stderr.write('first\\nlast word\\n\\n'); sys.stderr.flush()
        os.abort()
        """
        outcome = self.run_chunk(self.program(body), "a", "b", "c")
        self.assertEqual((outcome.code, outcome.suspects, outcome.said), (-6, ("b",), "last word"))

    def test_exit_codes_of_the_contract_accuse_nobody(self) -> None:
        for code in (1, 2, 4):
            call = self.program(f"print('start a'); print('no', file=sys.stderr); sys.exit({code})")
            outcome = self.run_chunk(call, "a")
            self.assertEqual((outcome.code, outcome.suspects, outcome.said), (code, (), "no"))

    def test_a_job_over_its_limit_is_ended_and_is_the_only_suspect(self) -> None:
        call = self.program("print('start a'); print('done a'); print('start b', flush=True); time.sleep(600)")
        outcome = self.run_chunk({**call, "job_limit_s": 0.2}, "a", "b", "c")
        self.assertEqual((outcome.code, outcome.suspects), (-9, ("b",)))
        self.assertIn("limit of 0.2 s", outcome.said)

    def test_much_output_blocks_nobody(self) -> None:
        call = self.program("sys.stderr.write('x' * 3_000_000); print('y' * 3_000_000); print('start a\\ndone a')")
        outcome = self.run_chunk(call, "a")
        self.assertEqual((outcome.code, outcome.jobs, len(outcome.said)), (0, 1, 500))

    def test_another_build_is_refused_and_not_run(self) -> None:
        call = {**self.program(f"open({str(self.dir / 'ran')!r}, 'w')"), "digest": "0" * 64}
        outcome = self.run_chunk(call, "a")
        self.assertIn("not " + "0" * 64, outcome.refusal)
        self.assertFalse((self.dir / "ran").exists())
        missing = self.run_chunk({**call, "program": str(self.dir / "none")}, "a")
        self.assertIn("cannot read the program", missing.refusal)

    def test_a_process_dies_with_its_worker(self) -> None:
        call = self.program(
            "print('start a', flush=True); open(sys.argv[0] + '.up', 'w').write(str(os.getpid())); time.sleep(600)"
        )
        code = "import sys, json, driver; driver.run_chunk(json.loads(sys.argv[1]), ('a',))"
        worker = subprocess.Popen([sys.executable, "-c", code, json.dumps(call)], cwd=Path(driver.__file__).parent)
        up = self.dir / "program.up"
        end = time.monotonic() + 60
        while not (up.exists() and up.read_text()) and time.monotonic() < end:
            time.sleep(0.01)
        child = int(up.read_text())
        worker.kill()
        worker.wait()
        while time.monotonic() < end:
            try:
                gone = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            except OSError:
                gone = True
            if gone:
                return
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        self.fail("the process outlived its worker")


class WholeProgram(unittest.TestCase):
    """Errors that need no cluster."""

    def main(self, *argv: str) -> tuple[int, str, str]:
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = driver.main(list(argv))
        return code, out.getvalue(), err.getvalue()

    def test_nothing_left_to_do_needs_no_cluster(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root, ids = Path(folder), ["a" * 64, "b" * 64, "c" * 64]
            program = root / "program"
            there = json.dumps({"results": 2, "failed": 0, "poison": 1, "missing": 0, "damaged": []})
            program.write_text(f"#!{sys.executable}\nprint({there!r})\nraise SystemExit(1)\n")
            program.chmod(0o755)
            for kind, job in (("results", ids[0]), ("results", ids[1]), ("poison", ids[2])):
                (root / "out" / kind).mkdir(parents=True, exist_ok=True)
                (root / "out" / kind / f"{job}.json").write_text("{}")
            flags = ["--address", "ray://nowhere:1", "--program", str(program), "--out", str(root / "out")]
            code, out, _ = self.main(*flags, "--manifest", str(manifest(root, ids)))
            self.assertEqual(code, 1, "a poisoned job is no result")
            summary = json.loads(out.splitlines()[-1])
            del summary["seconds"]
            self.assertEqual(summary, {"total": 3, "done": 2, "reused": 2, "failed": 0, "poison": 1, "missing": 0})

    def test_a_problem_has_the_programs_form(self) -> None:
        flags = ["--address", "ray://h:1", "--program", "p", "--manifest", "no-such-file", "--out", "o", "--json"]
        code, out, err = self.main(*flags)
        self.assertEqual(code, driver.REFUSED)
        self.assertEqual(json.loads(out)["error"]["code"], "manifest_unreadable")
        self.assertTrue(err.startswith("error[manifest_unreadable]: ") and "\nhelp: " in err, err)


if __name__ == "__main__":
    unittest.main()
