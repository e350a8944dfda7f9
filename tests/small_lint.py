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
        "metadata": {"name": "a", "namespace": "team"},
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


def deployment(*containers, replicas=1, strategy=None, kind="Deployment", **spec):
    """Return a Deployment, or what is shaped like one."""
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod(*containers, **spec)["spec"]}
    api = {"Rollout": "argoproj.io/v1alpha1", "Job": "batch/v1"}.get(kind, "apps/v1")
    more = {"strategy": strategy} if strategy else {}
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "a", "namespace": "team"},
        "spec": {"replicas": replicas, "selector": {}, "template": template, **more},
    }


def job(*containers, count=1, **spec):
    """Return a Job of `count` pods that run together."""
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod(*containers, **spec)["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "a", "namespace": "team"},
        "spec": {"parallelism": count, "completions": count, "template": template},
    }


def other(kind, api="v1", name="b", namespace="team", labels=None, **fields):
    """Return an object of another kind beside it."""
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}
