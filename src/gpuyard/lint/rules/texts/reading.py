"""Texts that cannot be read, and rules that stopped.

These rules look at nothing themselves: the engine reports under their names what the reader of
documents found (`gpuyard.dialects.documents`) and what went wrong in a rule.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from gpuyard.dialects.documents import Code, Problem
from gpuyard.lint.rule import Hit, Rule, Severity

SYNTAX = "LINT-SYNTAX"
KEY = "LINT-KEY"
RULE_OF_CODE: Final[Mapping[Code, str]] = {
    "syntax": SYNTAX,
    "encoding": SYNTAX,
    "binary": SYNTAX,
    "alias": SYNTAX,
    "tag": SYNTAX,
    "number": SYNTAX,
    "key": SYNTAX,
    "duplicate-key": "LINT-DUPLICATE-KEY",
    "template": "LINT-TEMPLATE",
    "not-a-mapping": "LINT-NO-OBJECT",
    "too-large": "LINT-TOO-LARGE",
    "too-deep": "LINT-TOO-LARGE",
    "too-many": "LINT-TOO-LARGE",
}


def rule_of(problem: Problem) -> str:
    """Return the rule under whose name a problem is reported."""
    if problem.code == "key" and problem.is_read:
        return KEY
    return RULE_OF_CODE[problem.code]


def reported_by_the_engine(_subject: object, _world: object) -> Iterable[Hit]:
    """Find nothing: whoever reads the texts reports it."""
    return ()


def _rule(  # noqa: PLR0913 — the columns of the table below
    rule_id: str,
    severity: Severity,
    title: str,
    *,
    why: str,
    remedy: str,
    source: str,
    failing: str = "",
    passing: str = "",
) -> Rule:
    return Rule(
        id=rule_id,
        severity=severity,
        title=title,
        why=why,
        remedy=remedy,
        source=source,
        scope="text",
        check=reported_by_the_engine,
        failing=failing,
        passing=passing,
    )


RULES = (
    _rule(
        SYNTAX,
        "error",
        "A manifest is well-formed YAML or JSON",
        why="What cannot be read cannot be applied, and no rule has looked at it.",
        remedy="correct the text at this place",
        source="YAML 1.2.2; RFC 8259",
        failing="""\
apiVersion: v1
kind: Pod
metadata:
\tname: trainer # <- here
""",
        passing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
""",
    ),
    _rule(
        "LINT-DUPLICATE-KEY",
        "error",
        "A mapping has each key once",
        why="Of two equal keys the last one counts, and the first is dropped without a word. "
        "Strict readers, the API server's own among them, refuse the text.",
        remedy="merge the two, or remove one",
        source="YAML 1.2.2 §3.2.1.3; sigs.k8s.io/yaml UnmarshalStrict; kubectl --validate=strict",
        failing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  labels: {gpu: "yes"}
  labels: {queue: research} # <- here
""",
        passing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  labels: {gpu: "yes", queue: research}
""",
    ),
    _rule(
        KEY,
        "info",
        "A key is a text",
        why="YAML reads a bare yes, on or 8080 as a truth value or a number; JSON has only texts "
        "as keys. It is read as the text that Kubernetes makes of it, which is seldom what was "
        "written.",
        remedy="put the key in quotes",
        source="sigs.k8s.io/yaml v1.6, convertToJSONableObject",
        failing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  labels:
    on: "true" # <- here
""",
        passing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  labels:
    "on": "true"
""",
    ),
    _rule(
        "LINT-NO-OBJECT",
        "info",
        "A document is an object or a mapping of values",
        why="A list or a bare text is no manifest; nothing in it has been checked.",
        remedy="leave it out of the check: ignore it in .gpuyard.yaml, or name other files",
        source="k8s.io/apimachinery v0.36, pkg/util/yaml",
        failing="""\
- image: registry.example/vllm:0.11 # <- here
- image: registry.example/trainer:1.4
""",
        passing="""\
images:
  - registry.example/vllm:0.11
  - registry.example/trainer:1.4
""",
    ),
    _rule(
        "LINT-TEMPLATE",
        "info",
        "A template is rendered before it is checked",
        why="A file of a chart is no manifest until its values are filled in; what it will say "
        "cannot be checked.",
        remedy="check what it becomes: helm template CHART | gpuyard lint -",
        source="Helm documentation, The Chart Template Developer's Guide",
        failing="""\
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-trainer # <- here
""",
        passing="""\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
""",
    ),
    _rule(
        "LINT-TOO-LARGE",
        "warning",
        "A text stays within the limits of the reader",
        why="Size, depth and aliases of a text are bounded, so that a hostile file cannot take "
        "the memory of whoever checks it.",
        remedy="split the file, or give a bundle of a cluster with --bundle",
        source="gpuyard.dialects.documents, Limits",
    ),
    _rule(
        "LINT-RULE-FAILED",
        "warning",
        "A rule could not finish",
        why="This is a defect of gpuyard, not of the manifest: what the rule would have said of "
        "this object is not known.",
        remedy="report it with the object; until then, switch the rule off in .gpuyard.yaml",
        source="gpuyard.lint.run",
    ),
)
