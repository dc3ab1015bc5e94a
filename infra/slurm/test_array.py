"""The shard form under a real Slurm: a controller and two nodes on this machine, and what dies on them.

`cargo xtask test --slurm` runs it, as root: `python3 test_array.py PROGRAM ARTEFACTS`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rig"))
import desk
import namespaces
from namespaces import patiently

ARRAY = Path(__file__).with_name("array.sbatch")
ADDRESS = "10.99.0.1"
SHARDS = 6

CONF = """\
ClusterName=test
SlurmctldHost={host}({address})
SlurmctldPort=26817
SlurmUser=root
AuthType=auth/munge
# A requeued task starts when the credential of its last run has expired: two minutes, if nobody says otherwise.
AuthInfo=socket={dir}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool-%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=1
# Tests only: a dead node is seen soon.
SlurmdTimeout=10
SlurmctldTimeout=30
ReturnToService=2
MailProg=/bin/true
NodeName=n1 NodeHostname={host} NodeAddr={address} Port=26818 CPUs=1 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr={address} Port=26819 CPUs=1 RealMemory=4000
PartitionName=batch Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """Controller, nodes, and the daemon that signs for them."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.environment["PATH"] += ":/usr/sbin:/sbin"

    def up(self) -> None:
        """Starts everything and waits until both nodes take work."""
        # With loopback alone it cannot find an address to bind to.
        for words in (
            ["link", "add", "slurm0", "type", "veth", "peer", "name", "slurm1"],
            ["addr", "add", f"{ADDRESS}/24", "dev", "slurm0"],
            ["link", "set", "slurm0", "up"],
            ["link", "set", "slurm1", "up"],
        ):
            subprocess.run(["ip", *words], check=True, env=self.environment)
        # The daemon refuses to work in a folder that others may write to.
        self.dir.chmod(0o755)
        (self.dir / "state").mkdir()
        key = self.dir / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        config = self.dir / "slurm.conf"
        config.write_text(CONF.format(host=socket.gethostname(), address=ADDRESS, dir=self.dir), encoding="utf-8")
        files = [f"--{name}-file={self.dir / name}" for name in ("pid", "log", "seed")]
        self.start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.dir}/munge.socket", *files
        )
        patiently("munge answers", (self.dir / "munge.socket").exists)
        self.start("slurmctld", "-D", "-f", str(config))
        for node in ("n1", "n2"):
            (self.dir / f"spool-{node}").mkdir()
            self.node(node)
        patiently("both nodes are idle", lambda: self.ask("sinfo", "--noheader", "-o", "%T %D") == "idle 2")

    def node(self, name: str) -> None:
        """Starts a node's daemon."""
        self.start(name, "-D", "-N", name, "-f", str(self.dir / "slurm.conf"), program="slurmd")

    def start(self, name: str, *flags: str, program: str | None = None) -> None:
        """Starts a daemon in the foreground, in a group of its own."""
        with (self.dir / f"{name}.out").open("wb") as log:
            self.daemons[name] = subprocess.Popen(
                [program or name, *flags],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, *words: str) -> str:
        """A client's answer. Clients wait for ever for a controller that is not there: not here."""
        try:
            answer = subprocess.run(
                words, env=self.environment, capture_output=True, text=True, timeout=20, check=False
            )
        except subprocess.TimeoutExpired:
            return ""
        return answer.stdout.strip() if answer.returncode == 0 else f"{answer.stdout}{answer.stderr}"

    def submit(self, work: desk.Desk, out: Path, program: Path | None = None, digest: str | None = None) -> str:
        """Submits the array of the repository; gives its number."""
        program = program or work.program
        digest = digest or subprocess.check_output(["sha256sum", str(program)], text=True).split()[0]
        values = {"SHARDS": SHARDS, "ROOT": work.root, "MANIFEST": work.manifest, "OUT": out, "PROGRAM": program}
        export = ",".join(["ALL", f"SHA256={digest}", *(f"{k}={v}" for k, v in values.items())])
        words = ["sbatch", "--parsable", f"--array=0-{SHARDS - 1}", f"--export={export}", "--mem=1G"]
        number = self.ask(*words, f"--chdir={self.dir}", str(ARRAY))
        if not number.isdigit():
            raise RuntimeError(number)
        return number

    def tasks(self, job: str) -> dict[str, str]:
        """State by index, as far as the controller still knows them."""
        fields = (line.split() for line in self.ask("scontrol", "--oneliner", "show", "job", job).splitlines())
        known = (dict(f.split("=", 1) for f in line if "=" in f) for line in fields)
        return {k["ArrayTaskId"]: k["JobState"] for k in known if "ArrayTaskId" in k}

    def over(self, job: str) -> bool:
        """Whether no task is waiting or running."""
        tasks = self.tasks(job)
        waiting = ("PENDING", "RUNNING", "COMPLETING", "REQUEUED", "CONFIGURING", "REQUEUE_HOLD")
        return bool(tasks) and not any(state.startswith(waiting) for state in tasks.values())

    def logs(self, job: str) -> str:
        """What the tasks wrote."""
        return "".join(p.read_text(errors="replace") for p in sorted(self.dir.glob(f"ghtrader-batch-{job}_*.log")))


class AnArray(unittest.TestCase):
    """B-24, B-25."""

    dir: Path
    work: desk.Desk
    expected: dict[str, bytes]
    slurm: Slurm

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="gs")
        cls.addClassCleanup(folder.cleanup)
        cls.dir = Path(folder.name)
        cls.work = desk.prepare(GIVEN, cls.dir / "desk", days=13, variants=10, rows_per_day=ROWS_PER_DAY)
        alone = cls.work.run(cls.dir / "alone")
        assert alone.returncode == 0, alone.stderr
        cls.expected = desk.tree(cls.dir / "alone")
        cls.slurm = Slurm(cls.dir / "slurm")
        cls.slurm.dir.mkdir()
        cls.addClassCleanup(cls.end)
        cls.slurm.up()

    @classmethod
    def end(cls) -> None:
        for daemon in cls.slurm.daemons.values():
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()

    def shards(self) -> list[int]:
        """The supervising processes of shards; each has a child that runs the jobs."""
        return [
            pid for pid, words in namespaces.processes() if words[0] == str(self.work.program) and "--shard" in words
        ]

    def on(self, node: str) -> list[int]:
        """Every process of a task on a node, with the one of Slurm's that watches it."""
        found = []
        for pid, words in namespaces.processes():
            try:
                of_task = f"SLURMD_NODENAME={node}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                over = Path(f"/proc/{parent}/comm").read_text().strip() if parent else ""
            except OSError:
                continue
            if of_task and not words[0].startswith("slurm"):
                found += [parent, pid] if over == "slurmstepd" else [pid]
        return list(dict.fromkeys(found))

    def ended(self, job: str, states: set[str]) -> str:
        patiently("the array is over", lambda: self.slurm.over(job), 300.0)
        said = self.slurm.logs(job)
        self.assertLessEqual(set(self.slurm.tasks(job).values()), states, said)
        return said

    def test_1_a_shard_is_killed_and_restarted(self) -> None:
        out = self.dir / "killed"
        job = self.slurm.submit(self.work, out)
        patiently("10 results", lambda: len(desk.tree(out)) >= 10)
        patiently("a shard runs", self.shards)
        os.kill(self.shards()[0], signal.SIGKILL)
        said = self.ended(job, {"COMPLETED"})
        self.assertIn("restart 1", said)
        self.assertEqual(desk.tree(out), self.expected)

    def test_2_a_node_is_lost(self) -> None:
        out = self.dir / "lost"
        job = self.slurm.submit(self.work, out)
        patiently("10 results", lambda: len(desk.tree(out)) >= 10)
        patiently("a shard runs on n2", lambda: self.on("n2"))
        node = self.slurm.daemons.pop("n2")
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()
        # All at once, as when the power is gone: stopped first, so that none sees another die.
        lost = self.on("n2")
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in lost:
                os.kill(pid, number)
        said = self.ended(job, {"COMPLETED"})
        self.assertIn("restart 1", said)
        self.assertNotIn("asking for a restart", said, "it was Slurm itself that noticed")
        self.assertEqual(desk.tree(out), self.expected)
        self.slurm.node("n2")
        patiently("the node is back", lambda: self.slurm.ask("sinfo", "--noheader", "-o", "%T %D") == "idle 2")

    def test_3_another_build_is_refused_and_not_tried_again(self) -> None:
        out = self.dir / "other"
        job = self.slurm.submit(self.work, out, digest="0" * 64)
        said = self.ended(job, {"FAILED"})
        self.assertEqual(said.count("has another program"), SHARDS, said)
        self.assertEqual(desk.tree(out), {})
        self.assertNotIn("restart 1", said)


ROWS_PER_DAY = 4000

if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("skipped: Slurm's daemons want root")
    if not shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin"):
        sys.exit("there is no Slurm here; run `cargo xtask setup --slurm`")
    namespaces.enter()
    GIVEN = desk.Given.by_arguments()
    unittest.main(verbosity=2)
