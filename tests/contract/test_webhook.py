"""The webhook behind a real API server: what people see, and what happens when it is not there.

The program itself runs, with a certificate in files, and its own manifests tell the API server
where. Each test has configurations of its own that see only its namespace.
"""

import asyncio
import contextlib
import copy
import datetime as dt
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request

import msgspec
import pytest
import yaml

from gpuyard.kube.authority import Authority
from gpuyard.kube.errors import ApiError
from gpuyard.kube.transport import Request
from tests.admission_reviews import MESSAGE, REMEDY, RULE, deployment, without_shm
from tests.cluster_world import JSON, NAMESPACES, administered, run, send, unused_name

HOST = "127.0.0.1"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
KNOWN_SECONDS_MAX = 30  # until an API server knows a configuration
GPU_POD = {
    "containers": [
        {
            "name": "server",
            "image": "registry.example/server:1.4",
            "resources": {"limits": {"nvidia.com/gpu": "4"}},
        }
    ]
}


class Program:
    """``gpuyard webhook`` in a process of its own, with its certificate in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority.new("webhook-test")
        (folder / "ca.crt").write_bytes(self.authority.pair.certificate_pem)
        self.write_pair()
        self.process = None
        self.port = 0

    def write_pair(self, authority=None, **more):
        pair = (authority or self.authority).server([HOST], **more)
        for name, content in (
            ("tls.key", pair.key_pem.reveal().encode()),
            ("tls.crt", pair.certificate_pem),
        ):
            new = self.folder / f"{name}.new"
            new.write_bytes(content)
            new.rename(self.folder / name)

    def start(self, port=0):
        files = [f"--cert={self.folder / 'tls.crt'}", f"--key={self.folder / 'tls.key'}"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gpuyard", "webhook", f"--listen={HOST}:{port}", *files],
            stderr=subprocess.PIPE,
            text=True,
        )
        line = msgspec.json.decode(self.process.stderr.readline())
        assert line["event"] == "listening"
        self.port = int(line["address"].rpartition(":")[2])

    def end(self, number=signal.SIGKILL):
        """Return the exit code and the lines that were logged."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, [msgspec.json.decode(one) for one in said.splitlines()]

    def ask(self, path):
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        url = f"https://{HOST}:{self.port}{path}"
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            return answer.status, answer.read().decode()

    def configurations(self, namespace):
        """Return what the program prints, for objects of one namespace only."""
        printed = subprocess.run(
            [
                *(sys.executable, "-m", "gpuyard", "webhook", "--print-manifests"),
                *("--url", f"https://{HOST}:{self.port}", "--ca", str(self.folder / "ca.crt")),
            ],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        made = list(yaml.safe_load_all(printed))
        for one in made:
            one["metadata"]["name"] = f"{one['metadata']['name']}-{namespace}"
            for webhook in one["webhooks"]:
                webhook["namespaceSelector"]["matchExpressions"].append(
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]}
                )
        return made


@pytest.fixture
def program(tmp_path):
    one = Program(tmp_path)
    one.start()
    yield one
    one.end()


class World:
    """A namespace whose objects the webhook sees, and an administrator who writes them."""

    def __init__(self, client, namespace):
        self.client = client
        self.namespace = namespace

    async def label(self, mode):
        patch = {"metadata": {"labels": {"gpuyard.io/lint": mode}}}
        headers = (("Content-Type", "application/merge-patch+json"),)
        path = NAMESPACES.path(name=self.namespace)
        await send(self.client, "PATCH", path, patch, headers=headers)

    async def write(self, value, *, method="POST", dry=False):
        """Write an object; return the warnings, or the sentence of the refusal as an error."""
        group, resource = {
            "Deployment": ("apis/apps/v1", "deployments"),
            "Job": ("apis/batch/v1", "jobs"),
            "CronJob": ("apis/batch/v1", "cronjobs"),
            "Pod": ("api/v1", "pods"),
            "ReplicaSet": ("apis/apps/v1", "replicasets"),
        }[value["kind"]]
        value = copy.deepcopy(value)
        value["metadata"]["namespace"] = self.namespace
        path = f"/{group}/namespaces/{self.namespace}/{resource}"
        if method != "POST":
            path += f"/{value['metadata']['name']}"
        request = Request(
            method=method,
            path=path,
            query=(("dryRun", "All"),) if dry else (),
            headers=JSON,
            body=msgspec.json.encode(value),
            repeatable=False,
        )
        reply = await self.client.send(request, doing=f"writing {value['kind']}")
        said = reply.headers.get("warning", "")
        return [one for one in said.split('299 - "') if one]

    async def until(self, condition):
        """Wait until an API server knows what it was told."""
        until = time.monotonic() + KNOWN_SECONDS_MAX
        while not await condition():
            assert time.monotonic() < until, "the API server does not do what it was told"
            await asyncio.sleep(0.1)

    async def warned(self):
        return any(RULE in one for one in await self.write(without_shm(), dry=True))

    async def refused(self):
        try:
            await self.write(without_shm(), dry=True)
        except ApiError:
            return True
        return False


@contextlib.asynccontextmanager
async def watched(cluster, program, mode="warn"):
    """Give a world that is seen by the webhook; its configurations are removed again."""
    async with administered(cluster) as (client, namespace):
        made = program.configurations(namespace)
        world = World(client, namespace)
        try:
            for one in made:
                await send(client, "POST", CONFIGURATIONS, one)
            await world.until(world.warned)
            if mode != "warn":
                await world.label(mode)
            if mode == "enforce":
                await world.until(world.refused)
            yield world
        finally:
            for one in made:
                await send(client, "DELETE", f"{CONFIGURATIONS}/{one['metadata']['name']}")


def test_who_writes_a_deployment_without_shm_is_warned(cluster, program):
    async def work():
        async with watched(cluster, program) as world:
            lines = await world.write(without_shm())
            assert sum(line.startswith(f"{RULE}: {MESSAGE}") for line in lines) == 1
            assert not any(RULE in line for line in await world.write(deployment(name="right")))

    run(work)


def test_an_enforcing_namespace_refuses_with_rule_and_remedy(cluster, program):
    async def work():
        async with watched(cluster, program, "enforce") as world:
            with pytest.raises(ApiError) as refused:
                await world.write(without_shm())
            said = str(refused.value)
            assert 'admission webhook "enforce.lint.gpuyard.io" denied the request' in said
            assert f"{RULE}: {MESSAGE}; {REMEDY}" in said
            await world.write(deployment())  # what is right may be written
            accepted = {f"ignore.gpuyard.io/{RULE}": "one process, no NCCL"}
            await world.write(without_shm(name="accepted", annotations=accepted))

    run(work)


def test_what_was_wrong_before_may_still_be_changed(cluster, program):
    async def work():
        async with watched(cluster, program) as world:
            await world.write(without_shm())
            await world.label("enforce")
            await world.until(world.refused)
            lines = await world.write(without_shm(labels={"app": "other"}), method="PUT")
            assert any(RULE in line for line in lines), "told, and not refused"
            await world.write(deployment(), method="PUT")
            with pytest.raises(ApiError, match=RULE):
                await world.write(without_shm(), method="PUT")

    run(work)


def test_modes_that_say_nothing(cluster, program):
    async def work():
        async with watched(cluster, program) as world:
            for mode in ("audit", "off"):
                await world.label(mode)

                async def is_silent():
                    return not await world.warned()

                await world.until(is_silent)

    run(work)


def count_of_reviews(program):
    _, text = program.ask("/metrics")
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith("gpuyard_webhook_reviews_total{")
    )


OWNER = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "name": "llm-1",
    "uid": "0b5b",
    "controller": True,
}


def small(kind, spec, **metadata):
    version = {"Pod": "v1", "Job": "batch/v1", "CronJob": "batch/v1"}[kind]
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "one", **metadata},
        "spec": spec,
    }


def template(**more):
    return {"template": {"spec": {**GPU_POD, "restartPolicy": "Never", **more}}}


@pytest.mark.parametrize(
    ("value", "is_asked"),
    [
        pytest.param(small("Pod", GPU_POD), True, id="a pod"),
        pytest.param(small("Job", template()), True, id="a job"),
        pytest.param(
            small("CronJob", {"schedule": "0 3 * * *", "jobTemplate": {"spec": template()}}),
            True,
            id="a cron job",
        ),
        pytest.param(
            small("Pod", {"containers": [{"name": "web", "image": "registry.example/web:1"}]}),
            False,
            id="a pod without GPUs",
        ),
        pytest.param(
            small(
                "Pod",
                {
                    "containers": [
                        {
                            "name": "web",
                            "image": "registry.example/web:1",
                            "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}],
                        }
                    ]
                },
            ),
            True,
            id="a pod that takes GPUs without asking",
        ),
        pytest.param(
            small("Pod", GPU_POD, ownerReferences=[OWNER]), False, id="a pod of a controller"
        ),
    ],
)
def test_only_what_somebody_wrote_about_gpus_reaches_the_webhook(cluster, program, value, is_asked):
    async def work():
        async with watched(cluster, program) as world:
            before = count_of_reviews(program)
            await world.write(value, dry=True)
            assert count_of_reviews(program) - before == is_asked

    run(work)


def test_with_the_webhook_killed_nothing_is_refused(cluster, program):
    async def work():
        async with watched(cluster, program, "enforce") as world:
            port = program.port
            code, _ = program.end(signal.SIGKILL)
            assert code == -signal.SIGKILL
            lines = await world.write(without_shm())
            assert not any(RULE in line for line in lines)
            await world.write(small("Pod", GPU_POD))
            program.start(port)  # and when it is back, it counts again
            await world.until(world.refused)

    run(work)


def test_with_the_webhook_stalled_nothing_is_refused(cluster, program):
    async def work():
        async with watched(cluster, program, "enforce") as world:
            os.kill(program.process.pid, signal.SIGSTOP)
            try:
                begun = time.monotonic()
                await world.write(small("Pod", GPU_POD))
                assert time.monotonic() - begun < 30, "it waits for its timeout only"
            finally:
                os.kill(program.process.pid, signal.SIGCONT)

    run(work)


@pytest.mark.parametrize("wrong", ["expired", "of another authority"])
def test_with_a_certificate_that_is_not_believed_nothing_is_refused(cluster, program, wrong):
    """Also that a certificate is renewed without a restart, twice."""

    async def work():
        async with watched(cluster, program, "enforce") as world:
            port = program.port
            program.end(signal.SIGKILL)  # connections that stand would go on as they are
            program.start(port)
            if wrong == "expired":
                program.write_pair(valid_for=dt.timedelta(seconds=-60))
            else:
                program.write_pair(Authority.new("nobody's"))
            lines = await world.write(without_shm(name=unused_name()))
            assert not any(RULE in line for line in lines)
            await world.write(small("Pod", GPU_POD))
            program.write_pair()
            await world.until(world.refused)

    run(work)


def test_an_expired_certificate_shows_in_readiness(program):
    assert program.ask("/readyz") == (200, "ok\n")
    program.write_pair(valid_for=dt.timedelta(seconds=-60))
    context = ssl._create_unverified_context()
    url = f"https://{HOST}:{program.port}/readyz"
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(url, context=context, timeout=10)
    assert answer.value.code == 503
    assert b"the certificate ended at" in answer.value.read()


def test_sigterm_lets_the_service_know_before_it_ends(cluster, program):
    async def work():
        async with watched(cluster, program) as world:
            program.process.send_signal(signal.SIGTERM)
            with pytest.raises(urllib.error.HTTPError) as answer:
                program.ask("/readyz")
            assert answer.value.read() == b"stopping\n"
            assert await world.warned(), "until then it answers"
            code, lines = await asyncio.to_thread(program.process.wait, 30), []
            _, said = program.process.communicate()
            lines = [msgspec.json.decode(one)["event"] for one in said.splitlines()]
            assert (code, lines) == (0, ["stopping", "stopped"])
            await world.write(without_shm())

    run(work)
