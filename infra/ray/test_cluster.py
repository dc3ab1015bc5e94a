"""A real Ray cluster on loopback: what dies on the way changes no byte of a result.

Run by `cargo xtask test --ray` with GHTRADER_PROGRAM and GHTRADER_ARTEFACTS set; alone by
`python test_cluster.py` with a Python that has Ray.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import loopback
import project
from loopback import Cluster, patiently

DRIVER = Path(__file__).with_name("driver.py")


def tree(folder: Path) -> dict[str, bytes]:
    """Results, failures and poison below a batch's folder, by name; without what is on its way."""
    kinds = ("results", "failed", "poison")
    files = (p for kind in kinds for p in (folder / kind).glob("*.json") if not p.name.startswith("."))
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def results(folder: Path) -> int:
    return len(tree(folder))


class OnACluster(unittest.TestCase):
    """B-25. One cluster for all of it; each test leaves two nodes or more."""

    cluster: Cluster
    work: project.Work
    expected: dict[str, bytes]

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="gb")
        cls.addClassCleanup(folder.cleanup)
        cls.dir = Path(folder.name)
        cls.work = project.prepare(cls.dir / "desk", 300)
        # The truth: one process, nothing dies.
        alone = subprocess.run(cls.work.command(cls.dir / "alone"), capture_output=True, text=True)
        assert alone.returncode == 0, alone.stderr
        cls.expected = tree(cls.dir / "alone")
        assert len(cls.expected) == 300, len(cls.expected)
        cls.cluster = cls.enterClassContext(Cluster()) if sys.version_info >= (3, 11) else Cluster().__enter__()
        cls.cluster.start(1, 2)

    def driver(
        self, out: Path, *flags: str, program: Path | None = None, address: str = loopback.ADDRESS
    ) -> subprocess.Popen[str]:
        """The driver as a process; killed with the test at the latest."""
        command = [sys.executable, str(DRIVER), "--address", address, "--program", str(program or self.work.program)]
        command += ["--manifest", str(self.work.manifest), "--out", str(out), *flags, "--", *self.work.rest]
        log = out.with_name(f"{out.name}-{time.monotonic_ns()}.log").open("w+")
        started = subprocess.Popen(command, stdout=log, stderr=log, text=True)
        started.log = log  # type: ignore[attr-defined]

        def end() -> None:
            started.kill()
            started.wait()
            log.close()

        self.addCleanup(end)
        return started

    def ends(self, driver: subprocess.Popen[str], code: int, within_s: float = 180.0) -> str:
        """Waits for the driver's end; gives what it said."""
        found = driver.wait(within_s)
        driver.log.seek(0)  # type: ignore[attr-defined]
        said: str = driver.log.read()  # type: ignore[attr-defined]
        self.assertEqual(found, code, said)
        return said

    def nothing_runs(self, *programs: Path) -> None:
        """No process of the batch is left, within seconds."""
        left = programs or (self.work.program,)
        patiently("no process of the batch is left", lambda: not any(map(loopback.running, left)), 20.0)

    def test_1_worker_node_and_driver_die_and_two_drivers_finish(self) -> None:
        out = self.dir / "killed"
        driver = self.driver(out)
        patiently("30 results", lambda: results(out) >= 30)
        patiently("a worker", loopback.workers)
        os.kill(loopback.workers()[0], signal.SIGKILL)
        patiently("80 results", lambda: results(out) >= 80)
        self.cluster.kill("n2")
        self.cluster.start(3)
        patiently("150 results", lambda: results(out) >= 150)
        driver.kill()
        driver.wait()
        self.nothing_runs()
        self.assertLess(results(out), 300, "the driver died in the middle")
        both = [self.driver(out), self.driver(out)]
        for one in both:
            said = self.ends(one, 0)
            self.assertEqual(json.loads(next(l for l in said.splitlines() if l.startswith("{")))["done"], 300)
        self.assertEqual(tree(out), self.expected)
        left = [p.name for p in (out / "results").iterdir() if p.name.startswith(".tmp")]
        self.assertLessEqual(len(left), 8, "only what was killed in the middle of a write")

    def test_2_a_job_that_kills_its_process_is_set_aside(self) -> None:
        out, bad = self.dir / "poison", sorted(self.work.ids)[137]
        program = self.dir / "aborts"
        program.write_text(project.ABORTS.format(python=sys.executable, program=self.work.program, bad=bad))
        program.chmod(0o755)
        said = self.ends(self.driver(out, program=program), 1)
        found = tree(out)
        poison = json.loads(found.pop(f"poison/{bad}.json"))
        self.assertEqual((poison["id"], poison["deaths"], poison["signal"]), (bad, 3, signal.SIGABRT), said)
        self.assertEqual(found, {n: b for n, b in self.expected.items() if n != f"results/{bad}.json"})
        # It stays aside; the same command has nothing left to do.
        said = self.ends(self.driver(out, program=program), 1)
        self.assertIn("0 to do", said)

    def test_3_a_process_that_hangs_is_overtaken(self) -> None:
        out = self.dir / "straggler"
        driver = self.driver(out)
        patiently("30 results", lambda: results(out) >= 30)
        patiently("a process", lambda: loopback.running(self.work.program))
        stopped = loopback.running(self.work.program)[0]
        os.kill(stopped, signal.SIGSTOP)
        self.ends(driver, 0)
        self.assertEqual(tree(out), self.expected)
        self.nothing_runs()

    def test_4_another_build_ends_the_batch(self) -> None:
        out, program = self.dir / "builds", self.dir / "ghtrader-copy"
        shutil.copy2(self.work.program, program)
        driver = self.driver(out, program=program)
        patiently("20 results", lambda: results(out) >= 20)
        other = self.dir / "other"
        other.write_bytes(program.read_bytes() + b"\0")
        other.chmod(0o755)
        other.rename(program)
        said = self.ends(driver, 4)
        self.assertIn("error[other_build]", said)
        self.nothing_runs(program)
        self.assertLessEqual(tree(out).items(), self.expected.items())

    def test_5_a_refused_manifest_is_not_tried_again(self) -> None:
        out = self.dir / "edited"
        edited = project.edited(self.work, self.dir / "edited-manifest")
        flags = ["--address", loopback.CLIENT_ADDRESS, "--program", str(self.work.program), "--out", str(out)]
        command = [sys.executable, str(DRIVER), *flags, "--manifest", str(edited), "--", *self.work.rest]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=180)
        self.assertEqual(ended.returncode, 2, ended.stderr)
        self.assertIn("error[", ended.stderr)
        self.assertEqual(results(out), 0)

    def test_6_a_client_from_outside_and_an_end_by_signal(self) -> None:
        out = self.dir / "client"
        driver = self.driver(out, address=loopback.CLIENT_ADDRESS)
        patiently("30 results", lambda: results(out) >= 30)
        driver.send_signal(signal.SIGTERM)
        self.ends(driver, 143)
        self.nothing_runs()
        self.ends(self.driver(out, address=loopback.CLIENT_ADDRESS), 0)
        self.assertEqual(tree(out), self.expected)

    def test_9_the_head_is_gone_for_good(self) -> None:
        out = self.dir / "headless"
        driver = self.driver(out, "--head-patience-s", "4")
        patiently("30 results", lambda: results(out) >= 30)
        self.cluster.kill("head")
        said = self.ends(driver, 1, 60.0)
        self.assertIn("error[ray_head_gone]", said)
        self.nothing_runs()
        patiently(
            "the nodes end themselves", lambda: not [w for _, w in loopback.processes() if "raylet" in w[0]], 90.0
        )
        self.assertLessEqual(tree(out).items(), self.expected.items())


if __name__ == "__main__":
    loopback.enter()
    unittest.main(verbosity=2)
