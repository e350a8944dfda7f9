"""Every rule of the catalogue, held to its own examples and to the form of all others.

Each failing example is a manifest with one mistake. Its place is marked there, by the comment
``# <- here`` on its line, and asserted here; where there is more to a rule than its examples show,
that is in a test of its own (``test_lint_<topic>.py``).
"""

import re

import pytest

from gpuyard.dialects.documents import read
from gpuyard.lint import catalogue, examine
from gpuyard.lint.fix import mend
from gpuyard.lint.rule import ID_SHAPE, SEVERITIES, TITLE_CHARS_MAX
from gpuyard.lint.rules.texts.reading import RULE_OF_CODE

MARK = "# <- here"
RULES = catalogue.rules()
# What no short text shows; test_lint_run.py brings them about.
WITHOUT_EXAMPLES = {"LINT-RULE-FAILED", "LINT-TOO-LARGE"}
SHOWN = [rule for rule in RULES if rule.id not in WITHOUT_EXAMPLES]
MESSAGE_CHARS_MAX = 200  # of an example; more is no sentence at a glance

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
each_shown = pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.id)


def found(text):
    """Return all findings in one text, as if every object of a cluster had been listed."""
    documents, problems = read(text, "example.yaml")
    return examine(documents, problems)


def marked(text):
    """Return the number of the marked line, and the columns where a key or value starts on it."""
    ((number, line),) = [
        (number, line) for number, line in enumerate(text.splitlines(), 1) if MARK in line
    ]
    starts = {match.end() + 1 for match in re.finditer(r"^ *(- +)*|: +|- +|[\[{,] *", line)}
    return number, {*starts, len(line) - len(line.lstrip()) + 1}


@each_shown
def test_the_failing_example_fires_once_at_the_marked_place(rule):
    hits = [one for one in found(rule.failing).found if one.finding.rule == rule.id]
    assert len(hits) == 1, [one.finding.message for one in hits]
    finding = hits[0].finding
    line, columns = marked(rule.failing)
    assert finding.line == line
    assert finding.column in columns
    assert (finding.severity, finding.file) == (rule.severity, "example.yaml")
    assert bool(hits[0].edits) == rule.has_fix


@each_shown
def test_the_failing_example_has_no_other_error(rule):
    errors = {one.rule for one in found(rule.failing).findings if one.severity == "error"}
    assert errors <= {rule.id}


@each_shown
def test_the_passing_example_is_clean(rule):
    findings = found(rule.passing).findings
    assert rule.id not in {one.rule for one in findings}
    assert not {one.rule for one in findings if one.severity == "error"}


@each_shown
def test_the_message_is_one_sentence_with_its_numbers(rule):
    (finding,) = [one for one in found(rule.failing).findings if one.rule == rule.id]
    message = finding.message
    assert 0 < len(message) <= MESSAGE_CHARS_MAX
    assert "\n" not in message
    assert not message.endswith((".", "!", " "))
    assert not re.search(r"\b1 [a-z]+s\b|\(s\)|\b1 GPUs\b", message), "write gpuyard.lint.wording"
    assert not re.search(r"\bNone\b|\{'|\['|<[a-z]+\.", message), "a value of Python's"


@pytest.mark.parametrize("rule", [rule for rule in SHOWN if rule.has_fix], ids=lambda rule: rule.id)
def test_the_fix_mends_the_failing_example_and_keeps_what_was_written(rule):
    def look(contents):
        return found(contents["example.yaml"])

    before = {(one.rule, one.object) for one in found(rule.failing).findings}
    mended = mend({"example.yaml": rule.failing}, look)
    assert mended.refused == []
    assert rule.id in {one.rule for one in mended.done}
    after = {(one.rule, one.object) for one in mended.outcome.findings}
    assert rule.id not in {name for name, _ in after}
    assert after <= before, "the mended manifest has other findings"


@each_rule
def test_a_rule_says_everything(rule):
    assert ID_SHAPE.fullmatch(rule.id)
    assert rule.severity in SEVERITIES
    assert 0 < len(rule.title) <= TITLE_CHARS_MAX
    assert rule.title[0].isupper()
    assert not rule.title.endswith(".")
    for text in (rule.why, rule.remedy, rule.source):
        assert text == " ".join(text.split()), "one paragraph, single blanks"
        assert text
    assert rule.why.endswith("."), "whole sentences"
    assert not rule.remedy.endswith("."), "follows a semicolon"


@each_rule
def test_a_rule_asks_for_what_it_is_shown(rule):
    assert bool(rule.kinds) == (rule.scope == "object")
    assert bool(rule.reads) == (rule.needs != "documents")
    for kind in (*rule.kinds, *rule.reads):
        assert re.fullmatch(r"([a-z0-9.-]+/)?[A-Z][A-Za-z0-9]+", kind), "group/Kind without version"
    if rule.needs == "documents":
        assert rule in catalogue.rules(for_cluster=False), "a module of CLUSTER_MODULES"


@each_shown
def test_examples_are_manifests_that_can_be_copied(rule):
    for text in (rule.failing, rule.passing):
        assert text.endswith("\n")
        assert not text.startswith("\n"), 'begin with """\\'
        assert not re.search(r"[ \t]+$", text, re.MULTILINE)
    assert rule.failing.count(MARK) == 1
    assert MARK not in rule.passing
    assert rule.failing.replace(f" {MARK}", "") != rule.passing


def test_ids_are_unique_and_sorted():
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))


def test_what_the_reader_reports_has_a_rule():
    assert set(RULE_OF_CODE.values()) <= {rule.id for rule in RULES}
