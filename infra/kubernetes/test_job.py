"""The Indexed Job against the schema of Kubernetes, and against the program's own contract.

Needs kubernetes-validate, which `cargo xtask setup --ray` installs.
"""

from __future__ import annotations

import copy
import re
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

VERSION = "1.35"
FILE = Path(__file__).with_name("indexed-job.yaml")


class IndexedJob(unittest.TestCase):
    """B-25."""

    def setUp(self) -> None:
        self.job: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))

    def test_the_schema_accepts_it(self) -> None:
        kubernetes_validate.validate(self.job, VERSION, strict=True)

    def test_the_schema_refuses_what_is_wrong(self) -> None:
        wrong: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
            ("a count as text", lambda spec: spec.update(completions="100")),
            ("a field that does not exist", lambda spec: spec.update(completion=100)),
            (
                "a misplaced policy",
                lambda spec: spec["template"]["spec"].update(podFailurePolicy=spec["podFailurePolicy"]),
            ),
            ("a number as a list", lambda spec: spec.update(backoffLimitPerIndex=[5])),
            ("a pod without containers", lambda spec: spec["template"]["spec"].pop("containers")),
        ]
        for what, change in wrong:
            job = copy.deepcopy(self.job)
            change(job["spec"])
            with self.assertRaises(kubernetes_validate.ValidationError, msg=what):
                kubernetes_validate.validate(job, VERSION, strict=True)

    def test_it_keeps_the_contract(self) -> None:
        spec = self.job["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        (shard,) = [a for a in container["args"] if a.startswith("--shard=")]
        self.assertEqual(shard, f"--shard=$(SHARD)/{spec['completions']}", "indexes and shards are the same")
        final = next(r for r in spec["podFailurePolicy"]["rules"] if r["action"] == "FailIndex")
        self.assertEqual(final["onExitCodes"]["containerName"], container["name"])
        self.assertLessEqual({2, 4}, set(final["onExitCodes"]["values"]), "what was refused is not tried again")
        self.assertRegex(container["image"], re.compile(r"@sha256:[0-9a-f]{64}$"), "an image is named by digest")
        self.assertIn("memory", container["resources"]["limits"])


if __name__ == "__main__":
    unittest.main()
