"""Commands that look at a live cluster, at a real API server, with many rights and with few."""

import json

import pytest

from tests.cluster_world import (
    NAMESPACES,
    grant,
    make_service_account,
    run,
    send,
    unused_name,
    using,
)
from tests.program import Forked, run_in_terminal
from tests.small_manifests import TRAIN

RULE = "GPU-SHM"
JOB = {
    "metadata": {"name": "train"},
    "spec": {
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "containers": [
                    {
                        "name": "trainer",
                        "image": "registry.example/trainer:1.4",
                        "resources": {"limits": {"memory": "64Gi", "nvidia.com/gpu": "2"}},
                    }
                ],
            }
        }
    },
}


@pytest.fixture(scope="module")
def gpuyard():
    """Runs the program, fast."""
    forked = Forked()
    yield forked
    forked.close()


@pytest.fixture
def yard(cluster, tmp_path):
    """A namespace with a job that has one finding, and two kubeconfigs: (name, admin, reader).

    The reader may list jobs and pods in that namespace, and nothing else.
    """
    namespace = unused_name("yard")

    async def make():
        async with using(cluster.admin_kubeconfig) as admin:
            client = admin.client
            await send(client, "POST", NAMESPACES.path(), {"metadata": {"name": namespace}})
            await send(client, "POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", JOB)
            rules = (["list"], "batch", ["jobs"]), (["list"], "", ["pods"])
            token = await make_service_account(client, namespace)
            await grant(client, namespace, "reader", *rules)
            return token

    async def remove():
        async with using(cluster.admin_kubeconfig) as admin:
            await send(admin.client, "DELETE", f"/apis/batch/v1/namespaces/{namespace}/jobs/train")
            await send(admin.client, "DELETE", NAMESPACES.path(name=namespace))

    config = json.loads(cluster.kubeconfig(unused_name(), {"token": run(make)}).read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    reader = tmp_path / "reader.kubeconfig"
    reader.write_text(json.dumps(config))
    yield namespace, str(cluster.admin_kubeconfig), str(reader)
    run(remove)


def rules_in(namespace, text):
    return [one["rule"] for one in json.loads(text) if f" {namespace}/" in one["object"]]


def test_lint_looks_at_a_live_cluster(gpuyard, yard, tmp_path):
    namespace, admin, _ = yard
    done = gpuyard("lint", "--cluster", "--kubeconfig", admin, "-o", "json", cwd=tmp_path)
    assert rules_in(namespace, done.stdout) == [RULE]
    assert done.returncode == 1
    (source,) = done.stderr.splitlines()
    assert source.startswith("gpuyard: checked against context ")
    assert "(https://127.0.0.1:" in source
    assert "seen at " in source


def test_lint_names_each_missing_right_and_checks_the_rest(gpuyard, yard, tmp_path):
    namespace, _, reader = yard
    asked = ("lint", "--cluster", "--kubeconfig", reader, "-o", "json")
    done = gpuyard(*asked, cwd=tmp_path)
    assert rules_in(namespace, done.stdout) == [RULE]
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert (
        f"gpuyard: Job objects were not read: missing right: list jobs.batch in the whole cluster"
        f" (seen: namespace '{namespace}' only)" in said
    )
    assert (
        "gpuyard: Node objects were not read: missing right: list nodes in the whole cluster"
        in said
    )
    assert sum("missing right: list deployments.apps" in one for one in said) == 1
    assert gpuyard(*asked, "--partial", cwd=tmp_path).returncode == 1


def test_lint_of_one_namespace(gpuyard, yard, tmp_path):
    namespace, admin, reader = yard
    asked = ("lint", "--cluster", "-n", namespace, "-o", "json", "--kubeconfig")
    done = gpuyard(*asked, admin, cwd=tmp_path)
    assert [one["object"] for one in json.loads(done.stdout)] == [f"Job {namespace}/train"]
    assert done.returncode == 1
    done = gpuyard(*asked, reader, cwd=tmp_path)
    assert "list jobs.batch" not in done.stderr
    assert f"list services in namespace '{namespace}'" in done.stderr
    assert done.returncode == 2


def test_lint_acts_as_somebody_else(gpuyard, yard, tmp_path):
    namespace, admin, _ = yard
    as_reader = f"system:serviceaccount:{namespace}:reader"
    done = gpuyard(
        *("lint", "--cluster", "-n", namespace, "--kubeconfig", admin),
        *("--as", as_reader, "--partial", "-o", "json"),
        cwd=tmp_path,
    )
    assert rules_in(namespace, done.stdout) == [RULE]
    assert f"list services in namespace '{namespace}'" in done.stderr


def test_manifests_against_a_live_cluster(gpuyard, yard, tmp_path):
    _, admin, _ = yard
    (tmp_path / "train.yaml").write_text(TRAIN)
    done = gpuyard("lint", "train.yaml", "--cluster", "--kubeconfig", admin, cwd=tmp_path)
    assert done.returncode == 1
    assert RULE in done.stdout
    assert "in 1 file, 1 object" in done.stdout
    assert "gpuyard: checked against context " in done.stderr


def test_progress_shows_on_a_terminal_and_only_there(yard, tmp_path):
    namespace, admin, _ = yard
    asked = ("lint", "--cluster", "-n", namespace, "--kubeconfig", admin, "--fail-on", "never")
    code, screen, piped = run_in_terminal(*asked, cwd=tmp_path, columns=100, streams="err")
    assert code == 0
    assert "listing " in screen
    assert "listing " not in piped
    assert f"Job {namespace}/train" in piped


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--context", "prod", "k8s"), "add --cluster"),
        (("-A", "k8s"), "add --cluster"),
        (("--cluster", "--bundle", "b.json"), "give one of the two"),
        (("--cluster", "-n", "a", "-A"), "give one of the two"),
        (("k8s", "--cluster", "-n", "a"), "beside PATHs leave it out"),
        (("--cluster", "--fix"), "--fix edits files"),
        (("--cluster", "--kubeconfig", "none.yaml"), "none.yaml"),
    ],
)
def test_wrong_use_is_one_sentence(gpuyard, tmp_path, args, expected):
    done = gpuyard("lint", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
