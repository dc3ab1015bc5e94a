"""A project with a synthetic market and a batch, as a user makes them; for the tests on clusters."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SPEC = """\
version = 1
name = "many-machines"
varieties = ["cu"]
split = "day"

[[fills]]
models = ["pessimistic", "central", "optimistic", "cross_only", "touch"]

[[lineups]]
name = "maker"
strategy.plugin = "{maker}"
grid = {{ "strategy.max_lots" = {{ from = 1, to = {variants}, step = 1 }} }}
"""


@dataclass(frozen=True)
class Given:
    """What a test is given: the program, and the folder of the packed reference plugins."""

    program: Path
    artefacts: Path

    @classmethod
    def by_arguments(cls) -> Given:
        """From the command line. No variables: the program takes those of its name for settings."""
        if len(sys.argv) < 3:
            sys.exit(f"usage: {sys.argv[0]} PROGRAM ARTEFACTS [TEST…]")
        program, artefacts = (Path(sys.argv.pop(1)).resolve() for _ in range(2))
        return cls(program, artefacts)


@dataclass(frozen=True)
class Desk:
    """A project, and the manifest of a batch in it."""

    root: Path
    program: Path
    manifest: Path
    ids: tuple[str, ...]

    def run(self, out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        """`batch run` in one process, to its end."""
        words = ["batch", "run", "--manifest", str(self.manifest), "--out", str(out), *flags]
        return subprocess.run(
            [str(self.program), "--root", str(self.root), *words], capture_output=True, text=True, check=False
        )


def tree(out: Path) -> dict[str, bytes]:
    """Results, failures and poison of a batch's folder, by name; without what is on its way."""
    kinds = ("results", "failed", "poison")
    files = (p for kind in kinds for p in (out / kind).glob("*.json") if not p.name.startswith("."))
    return {str(p.relative_to(out)): p.read_bytes() for p in files}


def prepare(given: Given, root: Path, days: int, variants: int, rows_per_day: int) -> Desk:
    """Makes a market of so many days and plans a batch of `days - 1` times `variants` jobs.

    The first day has no main contract: it is known after a close only.
    """
    program, maker = given.program, given.artefacts / "maker.wasm"

    def ghtrader(*words: str) -> None:
        ended = subprocess.run([str(program), *words], capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {ended.returncode}: {ended.stderr}")

    here = ("--root", str(root))
    ghtrader("init", str(root))
    market = ("--days", str(days), "--rows-per-day", str(rows_per_day), "--seed", "7")
    ghtrader(*here, "data", "synth", "--var", "cu", *market)
    ghtrader(*here, "main", "schedule", "--var", "cu")
    ghtrader(*here, "main", "build", "--var", "cu")
    (root / "batch.toml").write_text(SPEC.format(maker=maker, variants=variants), encoding="utf-8")
    manifest = root / "manifest"
    ghtrader(*here, "batch", "plan", str(root / "batch.toml"), "--out", str(manifest))
    _, *jobs, _ = manifest.read_text(encoding="utf-8").splitlines()
    return Desk(root, program, manifest, tuple(json.loads(line)["id"] for line in jobs))


# Runs the real program up to one job, and dies there as that job's process would.
ABORTS = """\
#!{python}
import os, subprocess, sys
words, bad = sys.argv[1:], "{bad}"
ids = open(words[words.index("--jobs") + 1]).read().split() if "--jobs" in words else []
if bad not in ids:
    os.execv("{program}", ["{program}", *words])
before = ids[:ids.index(bad)]
if before:
    ran = subprocess.run(["{program}", *words], input="\\n".join(before) + "\\n", text=True)
    if ran.returncode:
        sys.exit(ran.returncode)
print("start " + bad, flush=True)
print("the job takes its process with it", file=sys.stderr, flush=True)
os.abort()
"""

# Refuses to run jobs, and counts how often it was asked.
REFUSES = """\
#!/bin/sh
case "$*" in
*--jobs*)
    printf x >> "{calls}"
    echo "error[other_data]: not here" >&2
    exit 2 ;;
esac
exec "{program}" "$@"
"""
