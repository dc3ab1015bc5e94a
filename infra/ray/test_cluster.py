"""A real Ray cluster on loopback: what dies on the way changes no byte of a result.

`cargo xtask test --ray` runs it, by a Python that has Ray: `python test_cluster.py PROGRAM ARTEFACTS`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import loopback
from loopback import Cluster

import desk  # loopback has added its folder
import namespaces
from desk import tree
from namespaces import patiently

DRIVER = Path(__file__).with_name("driver.py")


class OnACluster(unittest.TestCase):
    """B-25. One cluster for all of it; each test leaves two nodes, but the last."""

    cluster: Cluster
    dir: Path
    # 300 jobs for what dies in the middle, 60 for the rest.
    long: desk.Desk
    short: desk.Desk
    expected: dict[desk.Desk, dict[str, bytes]]

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="gb")
        cls.addClassCleanup(folder.cleanup)
        cls.dir = Path(folder.name)
        cls.long = desk.prepare(GIVEN, cls.dir / "long", days=21, variants=15, rows_per_day=ROWS_PER_DAY)
        cls.short = desk.prepare(GIVEN, cls.dir / "short", days=7, variants=10, rows_per_day=ROWS_PER_DAY)
        cls.expected = {}
        for work, jobs in ((cls.long, 300), (cls.short, 60)):
            # The truth: one process, nothing dies.
            alone = work.run(work.root / "alone")
            assert alone.returncode == 0, alone.stderr
            cls.expected[work] = tree(work.root / "alone")
            assert len(cls.expected[work]) == jobs, len(cls.expected[work])
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)
        cls.cluster.__enter__()
        cls.cluster.start(1, 2)

    def driver(
        self,
        work: desk.Desk,
        out: Path,
        *flags: str,
        program: Path | None = None,
        manifest: Path | None = None,
        address: str = loopback.ADDRESS,
    ) -> subprocess.Popen[str]:
        """The driver as a process; it ends with the test at the latest."""
        command = [sys.executable, str(DRIVER), "--address", address, "--program", str(program or work.program)]
        command += [
            "--manifest",
            str(manifest or work.manifest),
            "--out",
            str(out),
            *flags,
            "--",
            f"--root={work.root}",
        ]
        return self.start(command, out)

    def command(self, work: desk.Desk, out: Path, address: str = loopback.ADDRESS) -> subprocess.Popen[str]:
        """The same by the program's own command, which becomes the driver that it carries."""
        words = ["batch", "run", f"--manifest={work.manifest}", f"--out={out}", f"--on={address}"]
        setting = f"--set=batch.python={sys.executable}"
        return self.start([str(work.program), f"--root={work.root}", setting, *words], out)

    def start(self, command: list[str], out: Path) -> subprocess.Popen[str]:
        with self.log(out).open("a") as log:
            started = subprocess.Popen(command, stdout=log, stderr=log, text=True)

        def end() -> None:
            started.kill()
            started.wait()

        self.addCleanup(end)
        return started

    def log(self, out: Path) -> Path:
        return out.with_name(f"{out.name}.log")

    def ends(self, driver: subprocess.Popen[str], out: Path, code: int, within_s: float = 180.0) -> str:
        """Waits for the driver's end; gives what it said."""
        found = driver.wait(within_s)
        said = self.log(out).read_text()
        self.assertEqual(found, code, said)
        return said

    def reach(self, out: Path, results: int) -> None:
        patiently(f"{results} results in {out.name}", lambda: len(tree(out)) >= results)

    def nothing_runs(self, program: Path) -> None:
        """No process of the batch is left, within seconds."""
        patiently("no process of the batch is left", lambda: not namespaces.running(program), 20.0)

    def test_1_worker_node_and_driver_die_and_two_drivers_finish(self) -> None:
        work, out = self.long, self.dir / "killed"
        driver = self.driver(work, out)
        self.reach(out, 30)
        patiently("a worker", loopback.workers)
        os.kill(loopback.workers()[0], signal.SIGKILL)
        self.reach(out, 70)
        self.cluster.kill("n2")
        self.reach(out, 120)
        driver.kill()
        driver.wait()
        self.nothing_runs(work.program)
        self.assertLess(len(tree(out)), 300, "the driver died in the middle")
        self.cluster.start(3)
        both = [self.driver(work, out), self.command(work, out)]
        for one in both:
            said = self.ends(one, out, 0)
            last = json.loads([line for line in said.splitlines() if line.startswith("{")][-1])
            self.assertEqual((last["total"], last["done"], last["missing"]), (300, 300, 0))
        self.assertEqual(tree(out), self.expected[work])
        self.nothing_runs(work.program)

    def test_2_a_job_that_kills_its_process_is_set_aside(self) -> None:
        work, out = self.short, self.dir / "poison"
        bad = work.ids[37]
        program = self.dir / "aborts"
        program.write_text(desk.ABORTS.format(python=sys.executable, program=work.program, bad=bad), encoding="utf-8")
        program.chmod(0o755)
        said = self.ends(self.driver(work, out, program=program), out, 1)
        found = tree(out)
        poison = json.loads(found.pop(f"poison/{bad}.json"))
        self.assertEqual((poison["id"], poison["signal"], poison["exit_code"]), (bad, signal.SIGABRT, None), said)
        self.assertEqual(poison["stderr"], "the job takes its process with it")
        self.assertEqual(found, {n: b for n, b in self.expected[work].items() if n != f"results/{bad}.json"})
        # It stays aside: the same command has nothing left to do.
        self.assertIn(" 0 to do", self.ends(self.driver(work, out, program=program), out, 1))

    def test_3_a_process_that_hangs_is_overtaken_and_damage_is_mended(self) -> None:
        work, out = self.short, self.dir / "straggler"
        driver = self.driver(work, out)
        self.reach(out, 6)
        patiently("a process", lambda: namespaces.running(work.program))
        os.kill(namespaces.running(work.program)[0], signal.SIGSTOP)
        self.ends(driver, out, 0)
        self.assertEqual(tree(out), self.expected[work])
        self.nothing_runs(work.program)
        for job in work.ids[:3]:
            path = out / "results" / f"{job}.json"
            path.write_bytes(path.read_bytes()[:-100])
        self.assertIn(" 3 to do", self.ends(self.driver(work, out), out, 0))
        self.assertEqual(tree(out), self.expected[work])

    def test_4_another_build_ends_the_batch(self) -> None:
        work, out, program = self.long, self.dir / "builds", self.dir / "copy"
        shutil.copy2(work.program, program)
        driver = self.driver(work, out, "--chunk-s", "1", program=program)
        self.reach(out, 6)
        other = self.dir / "other"
        other.write_bytes(program.read_bytes() + b"\0")
        other.chmod(0o755)
        other.rename(program)
        self.assertIn("error[other_build]", self.ends(driver, out, 4))
        self.nothing_runs(program)
        self.assertLessEqual(tree(out).items(), self.expected[work].items())

    def test_5_what_the_program_refuses_is_not_tried_again(self) -> None:
        work, out, program, calls = self.short, self.dir / "refused", self.dir / "refuses", self.dir / "calls"
        program.write_text(desk.REFUSES.format(program=work.program, calls=calls), encoding="utf-8")
        program.chmod(0o755)
        said = self.ends(self.driver(work, out, program=program), out, 2)
        self.assertIn("error[batch_refused]", said)
        self.assertIn("error[other_data]: not here", said)
        self.assertLessEqual(len(calls.read_text()), 2, "once for each process that was on its way")
        self.assertEqual(tree(out), {})

    def test_6_a_client_from_outside_and_an_end_by_signal(self) -> None:
        work, out = self.short, self.dir / "client"
        driver = self.command(work, out, loopback.CLIENT_ADDRESS)
        self.reach(out, 6)
        driver.send_signal(signal.SIGTERM)
        self.ends(driver, out, 143)
        self.nothing_runs(work.program)
        self.ends(self.driver(work, out, address=loopback.CLIENT_ADDRESS), out, 0)
        self.assertEqual(tree(out), self.expected[work])

    def test_7_the_head_is_replaced_and_the_batch_goes_on(self) -> None:
        work, out = self.long, self.dir / "replaced"
        driver = self.driver(work, out)
        self.reach(out, 30)
        self.cluster.kill("head")
        self.cluster.head()
        self.cluster.start(4)
        said = self.ends(driver, out, 0)
        self.assertIn("joining it anew", said)
        self.assertEqual(tree(out), self.expected[work])

    def test_8_the_head_is_gone_for_good(self) -> None:
        work, out = self.long, self.dir / "headless"
        driver = self.driver(work, out, "--head-patience-s", "4")
        self.reach(out, 30)
        self.cluster.kill("head")
        self.assertIn("error[ray_head_gone]", self.ends(driver, out, 1, 60.0))
        self.nothing_runs(work.program)
        patiently("the nodes end themselves", lambda: not self.raylets())
        self.assertLessEqual(tree(out).items(), self.expected[work].items())
        self.assertIn("error[ray_unreachable]", self.ends(self.driver(work, out), out, 1, 60.0))

    def raylets(self) -> list[int]:
        """Nodes, of whichever head."""
        return [pid for pid, words in namespaces.processes() if words and words[0].endswith("raylet")]


ROWS_PER_DAY = 4000

if __name__ == "__main__":
    namespaces.enter()
    GIVEN = desk.Given.by_arguments()
    unittest.main(verbosity=2)
