"""The driver without Ray: what it reads, how a process is watched, what it says."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import driver
from board import Death, Outcome


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
            words = driver.poison_arguments(Death("x", 3, code, "boom"), Path("o"))
            self.assertEqual(words, ["batch", "poison", "--out", "o", "--id", "x", *flags, "--stderr=boom"])

    def test_an_address_is_checked(self) -> None:
        self.assertEqual(driver.split_address("ray://head:10001"), ("head", 10001))
        self.assertEqual(driver.split_address("[::1]:6379"), ("::1", 6379))
        for bad in ("head", "ray://head", "ray://:1", "ray://head:0", "ray://head:65536", "ray://head:six"):
            with self.assertRaises(driver.Problem, msg=bad) as caught:
                driver.split_address(bad)
            self.assertEqual((caught.exception.code, caught.exception.exit_code), ("ray_address", driver.REFUSED))

    def test_settings_travel_and_access_does_not(self) -> None:
        variables = {"GHTRADER_TOKEN": "x", "GHTRADER_BUILD_WORKERS": "2", "AWS_SECRET": "y", "HOME": "z"}
        variables |= {"GHTRADER_DIFF_USER": "u", "GHTRADER_DIFF_PASSWORD": "p", "GHTRADER_DIFF_CLIENT_SECRET": "s"}
        self.assertEqual(driver.settings_of(variables), {"GHTRADER_BUILD_WORKERS": "2"})

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
        return {**call, "environment": {}, "job_limit_s": 60.0, "memory_mib": 512}

    def run_chunk(self, call: dict[str, object], *ids: str) -> Outcome:
        return Outcome(**driver.run_chunk(call, ids))

    def test_jobs_are_counted_as_they_end(self) -> None:
        body = "assert sys.argv[1:5] == ['batch', 'run', '--memory-mib', '512']\n"
        outcome = self.run_chunk(self.program(body + "for i in ids: print('start', i); print('done', i)"), "a", "b")
        self.assertEqual((outcome.code, outcome.jobs, outcome.suspects), (0, 2, ()))

    def test_a_dead_process_names_its_suspects_and_its_last_word(self) -> None:
        body = """
        print('start a'); print('done a'); print('start b', flush=True)
        sys.stderr.write('first\\nlast word\\n\\n'); sys.stderr.flush()
        os.abort()
        """
        outcome = self.run_chunk(self.program(body), "a", "b", "c")
        self.assertEqual((outcome.code, outcome.suspects, outcome.said), (-6, ("b",), "last word"))
        self.assertEqual(outcome.tail, "first last word")

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


class InAChild(unittest.TestCase):
    """Ray may end its process as it likes."""

    def setUp(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.head = driver.Head("127.0.0.1", self.listening.getsockname()[1], 0.0)

    def wait(self, seconds: float) -> dict[str, Any]:
        time.sleep(seconds)
        return {"waited": seconds}

    def test_what_the_work_gives_comes_back(self) -> None:
        self.assertEqual(driver.in_child(lambda: {"shared": True}, self.head), {"shared": True})

        def refuse() -> dict[str, Any]:
            raise driver.Problem("code", "what", "remedy", 4)

        self.assertEqual(driver.in_child(refuse, self.head), {"problem": ["code", "what", "remedy", 4]})

    def test_an_abort_is_a_loss_with_its_words(self) -> None:
        def abort() -> dict[str, Any]:
            os.write(2, b"x.cc:1: Check failed: another cluster\n*** stack\n")
            os.abort()

        def leave() -> dict[str, Any]:
            sys.exit(7)

        def disconnect() -> dict[str, Any]:
            raise ConnectionError("gone")

        self.assertRegex(driver.in_child(abort, self.head)["lost"], "signal 6.*Check failed: another cluster")
        self.assertIn("ended with exit 0", driver.in_child(leave, self.head)["lost"])
        self.assertEqual(driver.in_child(disconnect, self.head), {"lost": "ConnectionError: gone"})

    def test_a_head_that_goes_ends_the_work(self) -> None:
        self.head.look(0.0)
        self.listening.close()
        with redirect_stderr(io.StringIO()), self.assertRaises(driver.Problem) as caught:
            driver.in_child(partial(self.wait, 600.0), self.head)
        self.assertEqual(caught.exception.code, "ray_head_gone")

    def test_a_head_that_never_was_is_left_to_whoever_joins(self) -> None:
        self.listening.close()
        self.assertEqual(driver.in_child(partial(self.wait, 1.5), self.head), {"waited": 1.5})


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
