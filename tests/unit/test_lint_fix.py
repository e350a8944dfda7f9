"""Mending in rounds: every proof, and what happens without it."""

import pytest

from gpuyard.lint import Text, examine, read_texts
from gpuyard.lint.fix import CannotEditError, diff, mend, rewritten
from gpuyard.lint.rule import Finding, Remove, Set
from gpuyard.lint.run import Located, Outcome
from tests.small_lint import only

REQUEST_ONLY = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  containers:
    - name: server
      resources:
        requests: {nvidia.com/gpu: 1}  # keep
"""
MENDED = REQUEST_ONLY + "        limits:\n          nvidia.com/gpu: 1\n"


def pod(name, text=REQUEST_ONLY):
    return text.replace("NAME", name)


def looked_at(contents):
    given = read_texts(Text(file, content) for file, content in contents.items())
    return examine(given.documents, given.problems, settings=only("GPU-LIMITS"))


def test_every_object_of_a_file_is_mended_and_nothing_else_changes():
    before = f"# pods\n{pod('a')}---\n{pod('b')}---\nkind: Nothing\n"
    mended = mend({"a.yaml": before, "b.yaml": "a: 1\n"}, looked_at)
    assert mended.texts == {
        "a.yaml": f"# pods\n{pod('a', MENDED)}---\n{pod('b', MENDED)}---\nkind: Nothing\n"
    }
    assert [(one.rule, one.object) for one in mended.done] == [
        ("GPU-LIMITS", "Pod a"),
        ("GPU-LIMITS", "Pod b"),
    ]
    assert (mended.refused, mended.outcome.findings) == ([], [])


def test_an_object_with_two_findings_takes_two_rounds():
    head, dash, container = REQUEST_ONLY.partition("    - name: server\n")
    twice = pod("a", head + (dash + container) * 2)
    mended = mend({"a.yaml": twice}, looked_at)
    assert mended.texts["a.yaml"].count("limits:") == 2
    assert len(mended.done) == 2
    assert mended.outcome.findings == []


def test_an_item_of_a_list_is_mended_where_it_stands():
    items = "".join(
        f"  {'- ' if number == 0 else '  '}{line}\n"
        for number, line in enumerate(pod("a").splitlines())
    )
    text = f"apiVersion: v1\nkind: List\nitems:\n{items}"
    mended = mend({"a.yaml": text}, looked_at)
    added = "            limits:\n              nvidia.com/gpu: 1\n"
    assert mended.texts == {"a.yaml": text + added}
    assert mended.outcome.findings == []


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_stay(mark, newline):
    before = mark + pod("a").replace("\n", newline)
    mended = mend({"a.yaml": before}, looked_at)
    assert mended.texts["a.yaml"] == mark + pod("a", MENDED).replace("\n", newline)


def test_json_is_mended_as_json():
    text = (
        '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": '
        '[{"name": "b", "resources": {"requests": {"nvidia.com/gpu": 1}}}]}}'
    )
    mended = mend({"a.json": text}, looked_at)
    assert mended.texts["a.json"] == text.replace(
        '"nvidia.com/gpu": 1}', '"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 1}'
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(
            pod("a") + "---\nq: {\n", "the file cannot be read as a whole", id="broken elsewhere"
        ),
        pytest.param(
            pod("a").encode() + b"---\n# caf\xe9\n", "the file is no UTF-8", id="another encoding"
        ),
    ],
)
def test_a_text_that_cannot_be_read_as_a_whole_is_not_edited(content, reason):
    mended = mend({"a.yaml": content}, looked_at)
    assert (mended.texts, mended.done) == ({}, [])
    assert [(one.finding.rule, one.reason) for one in mended.refused] == [("GPU-LIMITS", reason)]


def test_what_stands_behind_an_alias_is_left_alone():
    shared = """\
apiVersion: v1
kind: Pod
metadata: {name: a}
x: &x
  requests: {nvidia.com/gpu: 1}
spec:
  containers:
    - name: server
      resources: *x
"""
    mended = mend({"a.yaml": shared}, looked_at)
    assert mended.texts == {}
    ((finding, reason),) = mended.refused
    assert (finding.rule, reason) == (
        "GPU-LIMITS",
        "it stands behind an alias and would change elsewhere too",
    )


# --- Proofs -------------------------------------------------------------------------------------


def finding(rule, severity="error"):
    return Finding(
        rule=rule,
        severity=severity,
        file="a.yaml",
        line=1,
        column=1,
        object="",
        message="",
        remedy="",
    )


def told(*rules_by_text):
    """Return a way to look at a.yaml that finds, for each text in turn, these rules."""
    answers = iter(rules_by_text)

    def look(contents):
        outcome = looked_at(contents)
        ((document,), _) = outcome_documents(contents)
        found = [
            Located(finding=finding(rule), entry=document, edits=(Set(("b",), 1),))
            for rule in next(answers)
        ]
        return outcome._replace(found=found)

    return look


def outcome_documents(contents):
    from gpuyard.lint.world import World

    given = read_texts(Text(file, content) for file, content in contents.items())
    return World(given.documents).looked_at, given.problems


def test_a_finding_that_would_stay_is_not_mended():
    mended = mend({"a.yaml": "a: 1\n"}, told(["GPU-A"], ["GPU-A"], ["GPU-A"]))
    assert (mended.texts, mended.done) == ({}, [])
    assert [one.reason for one in mended.refused] == ["the finding would still be there"]


def test_an_error_that_would_come_instead_keeps_the_text_as_it_was():
    mended = mend({"a.yaml": "a: 1\n"}, told(["GPU-A"], ["GPU-B"], ["GPU-A"]))
    assert (mended.texts, mended.done) == ({}, [])
    assert [one.reason for one in mended.refused] == ["GPU-B would be found instead"]


def test_a_finding_that_is_gone_is_mended():
    mended = mend({"a.yaml": "a: 1\n"}, told(["GPU-A"], []))
    assert mended.texts == {"a.yaml": "a: 1\nb: 1\n"}
    assert [one.rule for one in mended.done] == ["GPU-A"]


def located(text, *edits):
    ((entry,), _) = outcome_documents({"a.yaml": text})
    return Located(finding=finding("GPU-A"), entry=entry, edits=edits)


def test_a_text_that_would_say_something_else_is_not_taken():
    # The reader knows this key as "true"; written a second time it would stand there twice.
    text = "on: 1\nb: 2\n"
    with pytest.raises(CannotEditError, match="would not say what was meant"):
        rewritten(text, "a.yaml", [located(text, Set(("true",), 3))])
    assert rewritten(text, "a.yaml", [located(text, Remove(("b",)))]) == "on: 1\n"


def test_the_diff_shows_control_characters_and_sends_none():
    shown = diff("a.yaml", "a: 1\n# \x1b[31m\n", "a: 2\n# \x1b[31m\n")
    assert shown.splitlines()[:5] == [
        "--- a.yaml",
        "+++ a.yaml",
        "@@ -1,2 +1,2 @@",
        "-a: 1",
        "+a: 2",
    ]
    assert "\x1b" not in shown
    assert r"\x1b[31m" in shown


def test_an_outcome_without_edits_changes_nothing():
    def look(_contents):
        return Outcome([Located(finding=finding("GPU-A"))], 1, 0)

    assert mend({"a.yaml": "a: 1\n"}, look).texts == {}
