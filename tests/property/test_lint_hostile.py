"""Manifests with anything anywhere: no rule stops, and every finding has a place in the text.

Each rule's own examples are the seeds. A few values in them are replaced by something of another
type, taken away or written twice, so that every rule meets its own fields in every wrong shape.
"""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gpuyard.dialects.documents import read
from gpuyard.lint import catalogue, examine

RULES = [rule for rule in catalogue.rules() if rule.scope != "text"]
JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        2**63,
        1.5,
        "",
        "x",
        "1Gi",
        "-1",
        "\x1b[2J",
        "ä" * 300,
        [],
        [None],
        ["x", 1],
        [[]],
        {},
        {"": None},
        {"name": 1},
        {"x": {"y": []}},
    ]
)


def places(value, path=()):
    if path:
        yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from places(one, (*path, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from places(one, (*path, number))


@st.composite
def spoilt(draw, objects):
    """Return `objects` with up to four values spoilt."""
    result = copy.deepcopy(objects)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(list(places(result))))
        holder = result
        for key in path[:-1]:
            holder = holder[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "twice"])):
            case "replace":
                holder[path[-1]] = copy.deepcopy(draw(JUNK))
            case "remove":
                del holder[path[-1]]
            case "twice" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[path[-1]]))
        if not list(places(result)):
            break
    return result


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_rule_stops_and_every_finding_has_a_place(rule, data):
    text = data.draw(st.sampled_from([rule.failing, rule.passing]))
    objects = [document.value for document in read(text, "a.yaml").documents]
    lines = [json.dumps(one) for one in data.draw(spoilt(objects))]
    documents, problems = read("\n---\n".join(lines), "a.yaml")
    for finding in examine(documents, problems).findings:
        assert finding.rule != "LINT-RULE-FAILED", finding.message
        assert 1 <= finding.line <= 2 * len(lines)
        assert 1 <= finding.column <= max(map(len, lines))
        assert finding.message.isprintable()
        assert finding.object.isprintable()
