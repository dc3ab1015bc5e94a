"""A batch on a Ray cluster of two nodes on loopback, against two plain processes that share it as shards.

`cargo xtask bench batch --ray [--rounds N] [--variants N] [--json]` runs it. Both ways run in turn, each into an
empty folder, and must give the same bytes. The cluster is up before; the driver's own start counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import loopback

import desk  # loopback has added its folder
import namespaces

DRIVER = Path(__file__).with_name("driver.py")
GOAL = 1.05


def shards(work: desk.Desk, out: Path) -> float:
    """Two processes, half of the jobs each; seconds until the later one ends."""
    begun = time.monotonic()
    words = [str(work.program), f"--root={work.root}", "batch", "run", f"--manifest={work.manifest}", f"--out={out}"]
    both = [subprocess.Popen([*words, f"--shard={i}/2", "--threads=1"], stdout=subprocess.DEVNULL) for i in range(2)]
    if any([one.wait() for one in both]):
        raise RuntimeError("a shard failed")
    return time.monotonic() - begun


def on_ray(work: desk.Desk, out: Path) -> float:
    """The driver, from its start to its end."""
    begun = time.monotonic()
    words = [sys.executable, str(DRIVER), f"--address={loopback.ADDRESS}", f"--program={work.program}"]
    words += [f"--manifest={work.manifest}", f"--out={out}", "--", f"--root={work.root}"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def cluster_memory_mib() -> int:
    """Memory of everything that Ray runs, by what is its own or its share (PSS)."""
    total = 0
    for pid, words in namespaces.processes():
        if words and ("ray" in words[0] or "ray" in " ".join(words[:3])):
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total // 1024


def main() -> None:
    """Measures and prints."""
    given = desk.Given.by_arguments()
    parser = argparse.ArgumentParser(prog="cargo xtask bench batch --ray")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 100), metavar="N")
    parser.add_argument("--variants", type=int, default=60, choices=range(1, 501), metavar="N")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, list[float]] = {"shards": [], "ray": []}
    with tempfile.TemporaryDirectory(prefix="gb") as folder, loopback.Cluster() as cluster:
        work = desk.prepare(given, Path(folder) / "desk", days=21, variants=asked.variants, rows_per_day=12_000)
        tiny = desk.prepare(given, Path(folder) / "tiny", days=2, variants=1, rows_per_day=1_000)
        begun = time.monotonic()
        cluster.start(1, 2)
        up_s = time.monotonic() - begun
        idle_mib = cluster_memory_mib()
        start_s = on_ray(tiny, Path(folder) / "tiny-out")
        for k in range(asked.rounds):
            outs = [Path(folder) / f"shards-{k}", Path(folder) / f"ray-{k}"]
            # Taking turns: what the machine does beside it falls on both.
            ways = [("shards", shards, outs[0]), ("ray", on_ray, outs[1])]
            for name, way, out in ways if k % 2 == 0 else reversed(ways):
                found[name].append(way(work, out))
            if desk.tree(outs[0]) != desk.tree(outs[1]) or len(desk.tree(outs[1])) != len(work.ids):
                raise RuntimeError("the results differ")
    plain, ray = (statistics.median(found[name]) for name in ("shards", "ray"))
    report = {
        "schema_version": 1,
        "bench": "batch --ray",
        "jobs": len(work.ids),
        "cpus": os.cpu_count(),
        "rounds": asked.rounds,
        "two_processes_s": round(plain, 2),
        "ray_s": round(ray, 2),
        "ratio": round(ray / plain, 3),
        "goal": GOAL,
        "met": ray / plain <= GOAL,
        "all_s": {name: [round(s, 2) for s in seconds] for name, seconds in found.items()},
        "one_small_job_s": round(start_s, 2),
        "nodes_up_s": round(up_s, 1),
        "cluster_idle_mib": idle_mib,
    }
    if asked.json:
        print(json.dumps(report))
        return
    print(
        f"{report['jobs']} jobs, results equal to the byte in every round\n"
        f"two plain processes {plain:.2f} s, Ray with two nodes {ray:.2f} s (median of {asked.rounds} in turn)\n"
        f"ratio {ray / plain:.3f}, goal {GOAL} {'met' if report['met'] else 'missed'}\n"
        f"a batch of one small job takes {start_s:.1f} s: Python, joining, a first worker\n"
        f"two nodes join in {up_s:.1f} s; the idle cluster takes {idle_mib} MiB"
    )


if __name__ == "__main__":
    namespaces.enter()
    main()
