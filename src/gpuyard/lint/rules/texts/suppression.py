"""Suppressions that suppress nothing.

`gpuyard.lint.suppress` reads annotations and comments; what is wrong with one is reported under
these names.
"""

from gpuyard.lint.rule import Rule
from gpuyard.lint.rules.texts.reading import reported_by_the_engine

RULES = (
    Rule(
        id="LINT-REASON",
        severity="warning",
        title="A suppression gives its reason",
        why="The next reader has to know whether a finding may still be ignored. A suppression "
        "without a reason is not honoured.",
        remedy='write the reason: ignore.gpuyard.io/RULE: "…" or # gpuyard:ignore RULE: …',
        source="gpuyard.lint.suppress",
        scope="text",
        check=reported_by_the_engine,
        failing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  annotations:
    ignore.gpuyard.io/GPU-SHM: "" # <- here
""",
        passing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  annotations:
    ignore.gpuyard.io/GPU-SHM: "one process per GPU, no NCCL"
""",
    ),
    Rule(
        id="LINT-UNKNOWN-RULE",
        severity="warning",
        title="A suppression names a rule that exists",
        why="A misspelt rule id ignores nothing, and nobody notices.",
        remedy="correct the id; gpuyard explain lists them",
        source="gpuyard.lint.suppress",
        scope="text",
        check=reported_by_the_engine,
        failing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  annotations:
    ignore.gpuyard.io/GPU-SHN: "one process per GPU, no NCCL" # <- here
""",
        passing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  annotations:
    ignore.gpuyard.io/GPU-SHM: "one process per GPU, no NCCL"
""",
    ),
)
