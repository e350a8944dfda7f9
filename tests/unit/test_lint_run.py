"""One run: who is shown what, what is reported where, and what a broken rule may not do."""

import msgspec
import pytest

from gpuyard.dialects.documents import Limits, read
from gpuyard.lint import Settings, Text, catalogue, check, examine, read_texts
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.run import MESSAGE_CHARS_MAX, printable
from tests.small_lint import only

GPU_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: gpu
  namespace: research
spec:
  containers:
    - name: a
      resources:
        limits: {nvidia.com/gpu: 1}
"""
CPU_POD = GPU_POD.replace("nvidia.com/gpu", "cpu").replace("name: gpu", "name: cpu")
VALUES = "driver:\n  enabled: true\n"


def rule(scope, check, **fields):
    return Rule(
        **{
            "id": "GPU-TEST",
            "severity": "warning",
            "title": "",
            "why": "",
            "remedy": "do",
            "source": "",
            "scope": scope,
            "check": check,
            "failing": "",
            "passing": "",
            **fields,
        }
    )


@pytest.fixture
def with_rules(monkeypatch):
    """Put other rules into the catalogue; text rules stay, because the engine reports by them."""

    def put(*rules):
        texts = tuple(one for one in catalogue.rules() if one.scope == "text")
        by_id = {one.id: one for one in (*rules, *texts)}
        monkeypatch.setattr(catalogue, "rules", lambda **_: tuple(by_id.values()))
        monkeypatch.setattr(catalogue, "by_id", lambda **_: by_id)

    return put


def run(*texts, **settings):
    given = read_texts(Text(f"{number}.yaml", text) for number, text in enumerate(texts))
    return examine(given.documents, given.problems, **settings)


def names(subject, _world):
    """Say whom the rule was shown."""
    title = getattr(subject, "title", type(subject).__name__)
    yield Hit((), f"{type(subject).__name__} {title}")


@pytest.mark.parametrize(
    ("scope", "fields", "shown"),
    [
        pytest.param("pod", {}, ["PodView Pod research/gpu"], id="pods with a GPU"),
        pytest.param(
            "pod",
            {"gpu_only": False},
            ["PodView Pod research/gpu", "PodView Pod research/cpu"],
            id="all pods",
        ),
        pytest.param("workload", {}, ["Workload Pod research/gpu"], id="workloads with a GPU"),
        pytest.param(
            "object", {"kinds": ("Service",)}, ["Entry Service web"], id="objects of a kind"
        ),
        pytest.param("object", {"kinds": ("apps/Service",)}, [], id="another group"),
        pytest.param("values", {}, ["Values Values"], id="Helm values"),
        pytest.param("text", {}, [], id="nobody"),
    ],
)
def test_who_is_shown_what(with_rules, scope, fields, shown):
    with_rules(rule(scope, names, **fields))
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
    outcome = run(GPU_POD, CPU_POD, service, VALUES)
    assert [one.message for one in outcome.findings] == shown
    assert outcome.objects == 4


def test_a_rule_about_the_world_is_asked_once_and_says_where(with_rules):
    def look(world, same):
        assert world is same
        yield Hit(("metadata",), "here", on=world.of_kind("Pod")[1])

    with_rules(rule("world", look))
    (finding,) = run(GPU_POD, CPU_POD).findings
    assert (finding.file, finding.line, finding.object) == ("1.yaml", 3, "Pod research/cpu")


@pytest.mark.parametrize(
    ("texts", "settings", "count"),
    [
        pytest.param([GPU_POD], {}, 0, id="no node was given"),
        pytest.param([GPU_POD, "apiVersion: v1\nkind: Node\n"], {}, 1, id="a node was given"),
        pytest.param([GPU_POD], {"listed": ["Node"]}, 1, id="nodes were listed, there are none"),
        pytest.param(
            [GPU_POD],
            {"background": read("apiVersion: v1\nkind: Node\n", "b").documents},
            1,
            id="a node in the background",
        ),
    ],
)
def test_a_rule_that_needs_nodes_is_silent_without(with_rules, texts, settings, count):
    with_rules(rule("pod", names, needs="cluster", reads=("Node",)))
    assert len(run(*texts, **settings).findings) == count


def test_nothing_is_reported_of_the_background(with_rules):
    with_rules(rule("pod", names))
    background = read(GPU_POD, "cluster.json").documents
    assert run(CPU_POD, background=background).findings == []


def test_of_what_an_absent_controller_made_one_stands_for_all(with_rules):
    def owned(name, controller):
        owner = f"{{apiVersion: batch/v1, kind: Job, name: {controller}, controller: true}}"
        made = f"name: {name}\n  ownerReferences: [{owner}]"
        return GPU_POD.replace("name: gpu\n", f"{made}\n", 1)

    with_rules(rule("pod", names))
    outcome = run(owned("a", "x"), owned("b", "x"), owned("c", "y"), GPU_POD)
    assert [one.object for one in outcome.findings] == [
        "Pod research/a",
        "Pod research/c",
        "Pod research/gpu",
    ]


def test_a_finding_is_put_together_from_hit_rule_and_document(with_rules):
    def look(pod, _world):
        container = pod.containers[0]
        yield Hit(container.at("image", "nowhere"), "no image")
        yield Hit(container.at("name"), "a name", of="value", remedy="sharper")

    with_rules(rule("pod", look))
    findings = check([Text("a.yaml", GPU_POD)])
    assert [msgspec.structs.astuple(one) for one in findings] == [
        ("GPU-TEST", "warning", "a.yaml", 8, 7, "Pod research/gpu", "no image", "do"),
        ("GPU-TEST", "warning", "a.yaml", 8, 13, "Pod research/gpu", "a name", "sharper"),
    ]


def test_findings_are_sorted_by_file_and_place(with_rules):
    def look(pod, _world):
        yield Hit(pod.at("spec"), "later")
        yield Hit(pod.at("metadata"), "earlier")

    with_rules(rule("pod", look))
    places = [(one.file, one.line) for one in run(GPU_POD, GPU_POD).findings]
    assert places == sorted(places) == [("0.yaml", 3), ("0.yaml", 6), ("1.yaml", 3), ("1.yaml", 6)]


def test_severities_of_the_repository_count_and_what_is_off_is_not_asked(with_rules):
    def never(_subject, _world):
        raise AssertionError

    with_rules(rule("pod", names), rule("pod", never, id="GPU-OFF"))
    settings = Settings(severities={"GPU-TEST": "error", "GPU-OFF": "off"})
    assert [one.severity for one in run(GPU_POD, settings=settings).findings] == ["error"]


def test_a_rule_that_stops_hides_no_other(with_rules):
    def stops(_subject, _world):
        yield Hit((), "lost")
        raise KeyError("limits")

    with_rules(rule("pod", stops), rule("pod", names, id="GPU-OTHER"))
    findings = {one.rule: one for one in run(GPU_POD).findings}
    assert set(findings) == {"LINT-RULE-FAILED", "GPU-OTHER"}
    failed = findings["LINT-RULE-FAILED"]
    assert failed.message == "GPU-TEST stopped with KeyError: 'limits'"
    assert (failed.object, failed.severity) == ("Pod research/gpu", "warning")


def test_a_rule_about_the_world_that_stops_is_named_too(with_rules):
    def stops(_world, _same):
        raise ValueError("nodes\n")

    with_rules(rule("world", stops))
    (failed,) = run(GPU_POD).findings
    assert (failed.rule, failed.message) == (
        "LINT-RULE-FAILED",
        r"GPU-TEST stopped with ValueError: nodes\x0a",
    )


def test_a_text_that_is_too_large_is_a_finding():
    documents, problems = read(GPU_POD, "a.yaml", limits=Limits(yaml_size_max=10))
    (finding,) = examine(documents, problems).findings
    assert (finding.rule, finding.line, finding.column) == ("LINT-TOO-LARGE", 1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("ä → 漢字", "ä → 漢字"),
        ("a\nb\tc", r"a\x0ab\x09c"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u202eevil", r"\x202eevil"),
        ("x" * 1000, "x" * (MESSAGE_CHARS_MAX - 1) + "…"),
    ],
)
def test_printable(text, expected):
    assert printable(text) == expected


def test_without_places_a_finding_is_the_same_but_for_line_and_column():
    job = catalogue.rule("GPU-SHM").failing
    documents, _ = read(job, "admission")
    (placed,) = examine(documents, settings=only("GPU-SHM")).findings
    (finding,) = examine(documents, settings=only("GPU-SHM"), with_places=False).findings
    assert finding == msgspec.structs.replace(placed, line=0, column=0)
    accepted = job.replace(
        "  name: train\n", '  name: train\n  annotations: {ignore.gpuyard.io/GPU-SHM: "why"}\n'
    )
    assert examine(read(accepted, "a").documents, with_places=False).suppressed == 1
