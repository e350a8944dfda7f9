"""Small objects for tables of lint's rules, and what is found in them."""

import pytest
import yaml

from gpuyard.dialects.documents import read
from gpuyard.lint import Settings, catalogue, examine


def pod(*containers, kind="Pod", **spec):
    filled = [{"name": f"c{index}", **each} for index, each in enumerate(containers)]
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "a", "namespace": "n"},
        "spec": {"containers": filled, **spec},
    }


def daemon(container):
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"containers": [{"name": "c", **container}]}}},
    }


def asking(limits, **more):
    return {"resources": {"limits": limits}, **more}


def env(name, value, **more):
    return {"env": [{"name": name, "value": value}], **more}


def found(*objects, rule):
    documents, problems = read(yaml.safe_dump_all(objects), "a.yaml")
    assert not problems
    return [one for one in examine(documents).findings if one.rule == rule]


def table(rule, *rows):
    """Parametrize over rows of (objects, number of findings of `rule`, id)."""
    return pytest.mark.parametrize(
        ("rule", "objects", "expected"),
        [
            pytest.param(
                rule, objects if isinstance(objects, tuple) else (objects,), number, id=name
            )
            for objects, number, name in rows
        ],
    )


def only(*rules):
    """Return settings in which of the rules about GPUs only those named have a say."""
    others = set(catalogue.by_id()) - set(rules)
    return Settings(severities={name: "off" for name in others if not name.startswith("LINT-")})
