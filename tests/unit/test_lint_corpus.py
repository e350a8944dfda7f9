"""Correct workloads of every ecosystem, and what one mistake in them makes fire.

``tests/corpus`` holds manifests as they should be, written from the documentation of each project.
Nothing is found in them. `tests/lint_mutations.py` makes one mistake at a time; then the rule that
stands against it fires, and no other.
"""

from collections import Counter
from pathlib import Path

import pytest

from gpuyard.dialects.workloads import workload
from gpuyard.lint import Text, catalogue, examine, read_texts
from tests.lint_mutations import MUTATIONS, NOT_SHOWN

FOLDER = Path(__file__).resolve().parents[1] / "corpus"
FILES = sorted(FOLDER.glob("*.yaml"))
WORKLOADS_MIN = 25
SHOWN = {
    rule.id
    for rule in catalogue.rules()
    if rule.needs == "documents" and rule.scope != "text" and rule.id not in NOT_SHOWN
}
KINDS = {
    *("CronJob", "Deployment", "Job", "Pod", "StatefulSet"),
    *("JobSet", "LeaderWorkerSet", "Rollout", "Service"),
    *("ClusterTrainingRuntime", "MPIJob", "PyTorchJob", "TrainJob"),
    *("InferenceService", "LLMInferenceService"),
    *("RayCluster", "RayJob", "RayService"),
}


def found(text):
    given = read_texts([Text("corpus.yaml", text)])
    return examine(given.documents, given.problems)


def views(file):
    documents, problems = read_texts([Text(file.name, file.read_text(encoding="utf-8"))])[:2]
    assert problems == []
    return [view for one in documents if (view := workload(one.value)) is not None]


def rules_in(text):
    return Counter(one.rule for one in found(text).findings)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_correct_workload_gives_no_finding(file):
    outcome = found(file.read_text(encoding="utf-8"))
    assert [f"{one.line}: {one.rule} {one.message}" for one in outcome.findings] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mistake_makes_its_rule_fire_and_no_other(mutation):
    before = (FOLDER / mutation.file).read_text(encoding="utf-8")
    after = mutation.edit(before)
    assert after != before
    assert set(rules_in(after) - rules_in(before)) == mutation.rules


def test_the_corpus_shows_every_kind_of_workload():
    kinds = Counter(view.kind for file in FILES for view in views(file) if view.gpu_pods)
    assert set(kinds) >= KINDS
    assert kinds.total() >= WORKLOADS_MIN


def test_every_rule_about_documents_has_a_mistake():
    assert SHOWN - {rule for one in MUTATIONS for rule in one.rules} == set()
    assert set(NOT_SHOWN) <= {rule.id for rule in catalogue.rules()}
