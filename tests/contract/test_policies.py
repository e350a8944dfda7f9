"""Generated policies in a real API server: it takes them, and they say what their rules say.

Kinds that are no part of Kubernetes are defined here with an open schema: what is tried is the way
from a policy to their pod templates.
"""

import asyncio
import contextlib
import time

import msgspec
import pytest
import yaml

from gpuyard.dialects.workloads import workload
from gpuyard.kube.errors import ApiError
from gpuyard.kube.transport import Request
from gpuyard.lint import catalogue
from gpuyard.lint.policies import policies
from gpuyard.lint.policies.places import EACH_ITEM, EACH_VALUE, PLACES, plural
from gpuyard.lint.rule import CelRule
from tests.cluster_world import JSON, administered, run, send

RULES = [rule for rule in catalogue.rules() if rule.cel]
API = "/apis/admissionregistration.k8s.io/v1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KNOWN_SECONDS_MAX = 40
BINDINGS = "validatingadmissionpolicybindings"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": BINDINGS,
}
OWN_VERSION = "v1"
OWN_GROUPS = {"", "apps", "batch"}


def resource(value):
    group, _, version = value["apiVersion"].rpartition("/")
    base = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return base, plural(value["kind"])


class World:
    """A namespace in which the policies of some rules hold."""

    def __init__(self, client, namespace):
        self.client = client
        self.namespace = namespace

    async def warnings(self, value):
        """Return what an API server says to a dry run."""
        base, name = resource(value)
        request = Request(
            method="POST",
            path=f"{base}/namespaces/{self.namespace}/{name}",
            query=(("dryRun", "All"),),
            headers=JSON,
            body=msgspec.json.encode(value),
            repeatable=False,
        )
        reply = await self.client.send(request, doing=f"trying a {value['kind']}")
        return reply.headers.get("warning", "")

    async def is_told(self, rule, value):
        return f"{rule.id}: {rule.title}" in await self.warnings(value)

    async def until_told(self, rule, value):
        until = time.monotonic() + KNOWN_SECONDS_MAX
        while not await self.is_told(rule, value):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.2)
        return True


@contextlib.asynccontextmanager
async def policed(cluster, rules):
    """Give a world whose namespace alone is bound to the policies of `rules`."""
    async with administered(cluster) as (client, namespace):
        made = policies(rules)
        paths = []
        try:
            for one in made:
                one["metadata"]["name"] += f"-{namespace}"
                if one["kind"].endswith("Binding"):
                    one["spec"]["policyName"] += f"-{namespace}"
                    one["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"].append(
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "In",
                            "values": [namespace],
                        }
                    )
                path = f"{API}/{PLURALS[one['kind']]}"
                await send(client, "POST", path, one)
                paths.append(f"{path}/{one['metadata']['name']}")
            yield World(client, namespace)
        finally:
            for path in paths:
                await send(client, "DELETE", path)


def pods_in(text):
    """Return the pods of the workloads in an example, as Pods of their own."""
    found = []
    for value in yaml.safe_load_all(text):
        view = workload(value)
        for pod in view.pods if view else ():
            metadata = {"name": "one", "labels": pod.labels, "annotations": pod.annotations}
            spec = {**pod.spec.value}
            found.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_policy_warns_of_the_failing_example_and_not_of_the_passing_one(cluster, rule):
    failing, passing = pods_in(rule.failing), pods_in(rule.passing)
    assert failing
    assert passing

    async def work():
        async with policed(cluster, [rule]) as world:
            told = [await world.until_told(rule, failing[0])]
            told += [await world.is_told(rule, pod) for pod in failing[1:]]
            assert any(told)
            assert [pod for pod in passing if await world.is_told(rule, pod)] == []

    run(work)


def test_an_annotation_with_a_reason_accepts(cluster):
    rule = catalogue.rule("GPU-SHM")
    (job,) = yaml.safe_load_all(rule.failing)
    key = f"ignore.gpuyard.io/{rule.id}"

    def annotated(*path, reason):
        (value,) = yaml.safe_load_all(rule.failing)
        at = value
        for step in path:
            at = at.setdefault(step, {})
        at.setdefault("metadata", {})["annotations"] = {key: reason}
        return value

    async def work():
        async with policed(cluster, [rule]) as world:
            assert await world.until_told(rule, job)
            for path in (), ("spec", "template"):
                assert not await world.is_told(rule, annotated(*path, reason="one process"))
                assert await world.is_told(rule, annotated(*path, reason=" "))

    run(work)


async def told_until_refused(world, value):
    until = time.monotonic() + KNOWN_SECONDS_MAX
    while time.monotonic() < until:
        await world.warnings(value)
        await asyncio.sleep(0.2)


def test_a_policy_can_be_made_to_refuse(cluster):
    rule = catalogue.rule("GPU-SHM")
    (job,) = yaml.safe_load_all(rule.failing)

    async def work():
        async with policed(cluster, [rule]) as world:
            assert await world.until_told(rule, job)
            name = f"gpuyard-{rule.id.lower()}-{world.namespace}"
            patch = {"spec": {"validationActions": ["Deny"]}}
            headers = (("Content-Type", "application/merge-patch+json"),)
            path = f"{API}/{BINDINGS}/{name}"
            await send(world.client, "PATCH", path, patch, headers=headers)
            with pytest.raises(ApiError, match=f"{rule.id}: {rule.title}"):
                await told_until_refused(world, job)

    run(work)


def built(group, kind, walk, template):
    """Return an object of the kind with a pod template at `walk`."""
    value = template
    for step in reversed(walk):
        if step == EACH_ITEM:
            value = [{}, value]
        elif step == EACH_VALUE:
            value = {"Master": {}, "Worker": value}
        else:
            value = {step: value}
    return {
        "apiVersion": f"{group}/{OWN_VERSION}",
        "kind": kind,
        **value,
        "metadata": {"name": "one"},
    }


def definition(group, kind):
    name = plural(kind)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "metadata": {"name": f"{name}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": name},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": OWN_VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


async def define(client, group, kind):
    """Define a kind and wait until it is served."""
    await send(client, "POST", CRDS, definition(group, kind))
    until = time.monotonic() + KNOWN_SECONDS_MAX
    while True:
        try:
            await send(client, "GET", f"/apis/{group}/{OWN_VERSION}/{plural(kind)}")
        except ApiError:
            assert time.monotonic() < until, f"{kind} is not served"
            await asyncio.sleep(0.1)
        else:
            return


def test_templates_of_every_kind_are_found(cluster):
    """At each path a template that is wrong is told of, and one that is right is not."""
    shm = catalogue.rule("GPU-SHM")
    rule = msgspec.structs.replace(shm, cel=CelRule(shm.cel.expression))  # for Ray's kinds too
    (wrong,), (right,) = pods_in(rule.failing), pods_in(rule.passing)
    foreign = [(row, kind) for row in PLACES if row.group not in OWN_GROUPS for kind in row.kinds]
    assert len(foreign) >= 15

    async def work():
        async with policed(cluster, [rule]) as world:
            defined = []
            try:
                for row, kind in foreign:
                    await define(world.client, row.group, kind)
                    defined.append(f"{CRDS}/{plural(kind)}.{row.group}")
                assert await world.until_told(rule, wrong)
                missed = [
                    (kind, walk)
                    for row, kind in foreign
                    for walk in row.templates
                    if not await world.until_told(rule, built(row.group, kind, walk, wrong))
                    or await world.is_told(rule, built(row.group, kind, walk, right))
                ]
                assert missed == []
            finally:
                for path in defined:
                    await send(world.client, "DELETE", path)

    run(work)
