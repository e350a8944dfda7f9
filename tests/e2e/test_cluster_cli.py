"""Commands that look at a live cluster, at a real API server, with many rights and with few."""

import json
import re
import shlex
from pathlib import Path

import msgspec
import pytest

from tests import small_clouds
from tests.cluster_world import (
    NAMESPACES,
    RBAC,
    grant,
    make_service_account,
    run,
    send,
    unused_name,
    using,
)
from tests.program import Forked, run as run_program, run_in_terminal
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
    assert rules_in(namespace, done.stdout).count(RULE) == 1
    assert done.returncode == 1
    (source,) = done.stderr.splitlines()
    assert source.startswith("gpuyard: checked against context ")
    assert "(https://127.0.0.1:" in source
    assert "seen at " in source


def test_lint_names_each_missing_right_and_checks_the_rest(gpuyard, yard, tmp_path):
    namespace, _, reader = yard
    asked = ("lint", "--cluster", "--kubeconfig", reader, "-o", "json")
    done = gpuyard(*asked, cwd=tmp_path)
    assert rules_in(namespace, done.stdout).count(RULE) == 1
    assert "FIT-NODE" not in rules_in(namespace, done.stdout)  # no right to see nodes
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
    assert {one["object"] for one in json.loads(done.stdout)} == {f"Job {namespace}/train"}
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
    assert rules_in(namespace, done.stdout).count(RULE) == 1
    assert f"list services in namespace '{namespace}'" in done.stderr


def test_manifests_against_a_live_cluster(gpuyard, yard, tmp_path):
    _, admin, _ = yard
    (tmp_path / "train.yaml").write_text(TRAIN)
    done = gpuyard("lint", "train.yaml", "--cluster", "--kubeconfig", admin, cwd=tmp_path)
    assert done.returncode == 1
    assert RULE in done.stdout
    assert "in 1 file, 1 object" in done.stdout
    assert "gpuyard: checked against context " in done.stderr
    gpuyard("snapshot", "--kubeconfig", admin, "--to", "now.json", cwd=tmp_path)
    later = gpuyard("lint", "train.yaml", "--snapshot", "now.json", cwd=tmp_path)
    assert later.returncode == 1
    assert RULE in later.stdout
    assert "in 1 file, 1 object" in later.stdout
    assert "gpuyard: checked against snapshot now.json, " in later.stderr


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


@pytest.mark.parametrize("verb", ["lint", "doctor", "snapshot"])
def test_the_examples_of_the_help_work_as_printed(gpuyard, yard, tmp_path, verb):
    _, admin, _ = yard
    config = json.loads(Path(admin).read_text())
    config["contexts"][0]["name"] = config["current-context"] = "prod"
    (tmp_path / "config").write_text(json.dumps(config))
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / "train.yaml").write_text(TRAIN)
    items = small_clouds.gke()
    (tmp_path / "cluster.json").write_text(json.dumps({"kind": "List", "items": items}))
    taken = gpuyard("snapshot", "--kubeconfig", admin, "--to", "cluster.json.gz", cwd=tmp_path)
    assert taken.returncode == 0, taken.stderr
    shown = gpuyard(verb, "--help", cwd=tmp_path).stdout
    examples = re.findall(
        r"^    gpuyard ((?:lint|doctor|snapshot) .*|doctor)$", shown, re.MULTILINE
    )
    live = [one for one in examples if verb != "lint" or re.search("--(cluster|snapshot)", one)]
    assert len(live) == 4
    for example in live:
        done = run_program(*shlex.split(example), cwd=tmp_path, KUBECONFIG="config")
        assert done.stdout or example.startswith("snapshot"), (example, done.stderr)
        if "--as reader" in example:  # who has no rights here at all
            assert "missing right: list nodes in the whole cluster" in done.stderr
            assert done.returncode == (2 if verb == "doctor" else 0)
        else:
            assert done.returncode in {0, 1}, (example, done.stderr)


# --- snapshot -------------------------------------------------------------------------------------


def comparable(done):
    """What an answer says, without where it is from and when, and who asked in between."""
    answer = json.loads(done.stdout)
    if isinstance(answer, dict):
        answer = {key: one for key, one in answer.items() if key not in {"source", "seen_at"}}
    told = [one for one in done.stderr.splitlines() if "checked against" not in one]
    return done.returncode, answer, sorted(told)


@pytest.fixture
def sights(gpu_pool, yard):
    """Objects with findings of lint and of doctor, and kubeconfigs by how much they may see."""
    pool, admin, pool_reader = gpu_pool
    namespace, _, yard_reader = yard
    return pool, namespace, {"all": admin, "nodes": pool_reader, "one namespace": yard_reader}


def mine(answer, *names):
    """What is about the objects of this test: others come and go beside it."""
    code, found, told = answer
    if isinstance(found, list):
        return code, [one for one in found if any(name in str(one) for name in names)], told
    rows = {
        key: [one for one in found[key] if any(name in str(one) for name in names)]
        for key in ("pools", "layers", "findings")
    }
    return code, rows, found["unseen"], found["hidden"], told


def with_a_still_cluster(take, ask):
    """Take a snapshot and ask the cluster; again where other tests changed the answer meanwhile."""
    for _ in range(5):
        before, taken, after = ask(), take(), ask()
        if before == after:
            return taken, after
    return pytest.fail("the cluster gave another answer each time")


@pytest.mark.parametrize("who", ["all", "nodes", "one namespace"])
@pytest.mark.parametrize("verb", [("lint", "--cluster"), ("doctor",)])
def test_a_snapshot_gives_the_answer_that_the_cluster_gave(gpuyard, sights, tmp_path, who, verb):
    pool, namespace, configs = sights
    config, form = configs[who], ("-o", "json")

    def about_mine(done):
        return mine(comparable(done), pool, namespace)

    taken, live = with_a_still_cluster(
        lambda: gpuyard("snapshot", "--kubeconfig", config, "--to", "now.json.gz", cwd=tmp_path),
        lambda: about_mine(gpuyard(*verb, "--kubeconfig", config, *form, cwd=tmp_path)),
    )
    assert taken.returncode == (0 if who == "all" else 2), taken.stderr
    assert "gpuyard: now.json.gz holds " in taken.stderr.splitlines()[-1]
    later = gpuyard(verb[0], "--snapshot", "now.json.gz", *form, cwd=tmp_path)
    assert about_mine(later) == live
    source = later.stderr if verb[0] == "lint" else json.loads(later.stdout)["source"]
    assert re.search(r"snapshot now\.json\.gz, \d+ seconds? old: context .*, seen at 2", source)
    if who == "all":
        assert live[1]


def test_a_snapshot_of_one_namespace_and_one_namespace_of_a_snapshot(gpuyard, yard, tmp_path):
    namespace, admin, _ = yard
    narrow = ("-n", namespace)
    config = ("--kubeconfig", admin)

    def take():
        gpuyard("snapshot", *narrow, *config, "--to", "narrow.json", cwd=tmp_path)
        gpuyard("snapshot", *config, "--to", "whole.json", cwd=tmp_path)

    def ask():
        done = gpuyard("lint", "--cluster", *narrow, *config, "-o", "json", cwd=tmp_path)
        return comparable(done)

    _, live = with_a_still_cluster(take, ask)
    for asked in (("narrow.json",), ("narrow.json", *narrow), ("whole.json", *narrow)):
        done = gpuyard("lint", "--snapshot", *asked, "-o", "json", cwd=tmp_path)
        assert comparable(done) == live, asked
        assert f", namespace '{namespace}', seen at " in done.stderr
    (tmp_path / "train.yaml").write_text(TRAIN)
    for asked in (
        ("doctor", "--snapshot", "narrow.json"),
        ("lint", "--snapshot", "narrow.json", "train.yaml"),
        ("lint", "--snapshot", "narrow.json", "-A"),
        ("lint", "--snapshot", "narrow.json", "-n", "kube-system"),
    ):
        done = gpuyard(*asked, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"was taken of namespace '{namespace}' only" in done.stderr


def test_a_snapshot_tells_where_it_is_from_and_holds_no_secret(gpuyard, yard, tmp_path):
    namespace, admin, _ = yard
    secret = {"metadata": {"name": "token"}, "stringData": {"key": "not-for-files"}}

    async def make():
        async with using(admin) as admitted:
            await send(admitted.client, "POST", f"/api/v1/namespaces/{namespace}/secrets", secret)

    run(make)
    gpuyard("snapshot", "--kubeconfig", admin, "--to", "now.json", cwd=tmp_path)
    text = (tmp_path / "now.json").read_text()
    found = json.loads(text)
    assert found["format"] == "gpuyard-snapshot/1"
    assert found["server"]["address"].startswith("https://127.0.0.1:")
    assert found["server"]["version"].startswith("v1.")
    assert "not-for-files" not in text
    assert "Secret" not in found["objects"]
    assert "managedFields" not in text
    (job,) = [
        one for one in found["objects"]["batch/Job"] if one["metadata"]["namespace"] == namespace
    ]
    assert job["metadata"]["name"] == "train"
    assert found["managers"]["batch/Job"][f"{namespace}/train"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("lint", "--snapshot", "b.json", "--cluster"), "give one of the two"),
        (("lint", "--snapshot", "b.json", "--bundle", "b.json"), "give one of the two"),
        (("lint", "--snapshot", "b.json", "--context", "a"), "leave out the options"),
        (("lint", "--snapshot", "b.json"), "b.json: is no snapshot of gpuyard"),
        (("lint", "--snapshot", "none.json"), "none.json: No such file"),
        (("doctor", "--snapshot", "b.json", "--bundle", "b.json"), "give one of the two"),
        (("doctor", "--snapshot", "b.json", "--as", "a"), "leave out the options"),
        (("doctor", "--snapshot", "b.json"), "b.json: is no snapshot of gpuyard"),
        (("doctor", "--snapshot", "new.json"), "upgrade gpuyard"),
        (("snapshot",), "Missing option '--to'"),
        (("snapshot", "--to", "missing/a.json"), "make it first"),
        (("snapshot", "--to", "a.json", "-n", "a", "-A"), "give one of the two"),
        (("snapshot", "--to", "a.json", "--kubeconfig", "none"), "none"),
    ],
)
def test_snapshots_used_wrongly(gpuyard, tmp_path, args, expected):
    (tmp_path / "b.json").write_text('{"apiVersion": "v1", "kind": "List", "items": []}')
    (tmp_path / "new.json").write_text('{"format": "gpuyard-snapshot/2", "by": "gpuyard 9.9"}')
    done = gpuyard(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {one.name for one in tmp_path.iterdir()} == {"b.json", "new.json"}


# --- doctor ---------------------------------------------------------------------------------------


def renamed(objects, pool):
    """The same cluster under names that no other test has: nodes, namespaces and the pool."""
    text = msgspec.json.encode(objects).decode()
    for name in ("rke2-0", "gpu-operator-node", "kueue-system"):
        text = text.replace(f'"{name}', f'"{pool}-{name}')
    for space in ("gpu-operator", "nvidia"):
        text = text.replace(f'"namespace":"{space}"', f'"namespace":"{pool}-{space}"')
    text = text.replace('"NVIDIA-H100-80GB-HBM3"', f'"{pool}"')
    return msgspec.json.decode(text)


PATHS = {
    "Node": "/api/v1/nodes",
    "Namespace": "/api/v1/namespaces",
    "apps/DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "apps/Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}
MERGE = (("Content-Type", "application/merge-patch+json"),)


@pytest.fixture
def gpu_pool(cluster):
    """A GPU node of RKE2 with layers from two hands, in a cluster that others use too.

    Gives the pool's name, the administrator's kubeconfig, and that of somebody who may list nodes
    and DaemonSets, and nothing else.
    """
    pool = unused_name("pool")
    objects = [
        one
        for one in renamed([*small_clouds.rke2(), small_clouds.plugin_of_chart()], pool)
        if small_clouds.kind_of(one) in PATHS
    ]
    spaces = sorted({one["metadata"].get("namespace", "") for one in objects} - {""})
    made = []

    async def make(client):
        for space in spaces:
            await send(client, "POST", PATHS["Namespace"], {"metadata": {"name": space}})
            made.append(f"{PATHS['Namespace']}/{space}")
        for one in objects:
            path = PATHS[small_clouds.kind_of(one)].format(one["metadata"].get("namespace"))
            one["metadata"].pop("creationTimestamp", None)
            one["metadata"].pop("ownerReferences", None)
            name = f"{path}/{one['metadata']['name']}"
            await send(client, "POST", path, one)
            made.append(name)
            if one["kind"] == "Node":
                await send(
                    client, "PATCH", f"{name}/status", {"status": one["status"]}, headers=MERGE
                )
        rule = {"verbs": ["list"], "apiGroups": ["", "apps"], "resources": ["nodes", "daemonsets"]}
        role, binding = f"{RBAC}/clusterroles", f"{RBAC}/clusterrolebindings"
        await send(client, "POST", role, {"metadata": {"name": pool}, "rules": [rule]})
        token = await make_service_account(client, spaces[0])
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": pool}
        subject = {"kind": "ServiceAccount", "name": "reader", "namespace": spaces[0]}
        bound = {"metadata": {"name": pool}, "roleRef": reference, "subjects": [subject]}
        await send(client, "POST", binding, bound)
        made.extend((f"{role}/{pool}", f"{binding}/{pool}"))
        return token

    async def administer(work):
        async with using(cluster.admin_kubeconfig) as admin:
            return await work(admin.client)

    async def remove(client):
        for path in reversed(made):
            await send(client, "DELETE", path)

    token = run(lambda: administer(make))
    reader = cluster.kubeconfig(unused_name(), {"token": token})
    yield pool, str(cluster.admin_kubeconfig), str(reader)
    run(lambda: administer(remove))


def layers_of(answer, pool):
    return {
        row["layer"]: (row["by"], row["ready"], row["desired"])
        for row in answer["layers"]
        if row["pool"] == pool
    }


def test_doctor_tells_who_installed_what_and_what_contradicts(gpuyard, gpu_pool, tmp_path):
    pool, admin, _ = gpu_pool
    done = gpuyard("doctor", "--kubeconfig", admin, "-o", "json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    answer = json.loads(done.stdout)
    assert "(https://127.0.0.1:" in answer["source"]
    assert (answer["unseen"], answer["hidden"]) == ([], [])
    (mine,) = [one for one in answer["pools"] if one["name"] == pool]
    assert (mine["cloud"], mine["nodes"], mine["gpus"]) == ("RKE2", 1, 8)
    assert layers_of(answer, pool)["nfd"] == ("Helm gpu-operator", 0, 1)
    twice = [one for one in answer["findings"] if one["pool"] == pool and "TWICE" in one["check"]]
    assert [one["severity"] for one in twice] == ["error"]
    assert f"DaemonSet {pool}-gpu-operator/nvidia-device-plugin-daemonset" in twice[0]["message"]


def test_doctor_with_few_rights_says_what_it_did_not_see(gpuyard, gpu_pool, tmp_path):
    pool, _, reader = gpu_pool
    asked = ("doctor", "--kubeconfig", reader, "-o", "json")
    done = gpuyard(*asked, cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert done.returncode == 2
    for plural in ("pods", "resourcequotas", "deployments.apps"):
        assert f"missing right: list {plural} in the whole cluster" in done.stderr
    assert len(done.stderr.splitlines()) == len(answer["hidden"]) == 4
    assert {"Pod", "ResourceQuota", "apps/Deployment"} <= set(answer["unseen"])
    assert layers_of(answer, pool)["nfd"] == ("Helm gpu-operator", None, 1)
    checks = {one["check"] for one in answer["findings"] if one["pool"] == pool}
    assert checks == {"LAYER-TWICE"}  # and nothing about pods that it could not list
    (queue,) = [row for row in answer["layers"] if row["layer"] == "queue"]
    assert queue["by"] == "not seen"
    assert gpuyard(*asked, "--partial", cwd=tmp_path).returncode == 1


def test_doctor_draws_a_table_that_fits(gpuyard, gpu_pool, tmp_path):
    pool, admin, _ = gpu_pool
    done = gpuyard("doctor", "--kubeconfig", admin, cwd=tmp_path)
    assert f"pool {pool} · RKE2 · 1 node · 8 GPUs offered" in done.stdout
    assert "LAYER-TWICE" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize(("name", "code"), [("GKE", 0), ("bare metal", 0), ("EKS", 0)])
def test_doctor_reads_a_bundle(gpuyard, tmp_path, name, code):
    facts = small_clouds.facts_of(small_clouds.CLOUDS[name]())
    items = [one for values in facts.listed.values() for one in values]
    bundle = tmp_path / "cluster.json"
    bundle.write_bytes(msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": items}))
    done = gpuyard("doctor", "--bundle", "cluster.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith("bundle cluster.json, written 2")
    assert f" · {name} · " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--bundle", "b.json", "--context", "prod"), "leave out the options of a live one"),
        (("--bundle", "missing.json"), "missing.json: No such file or directory"),
        (("--bundle", "broken.json"), "make it with kubectl get"),
        (("--kubeconfig", "missing"), "missing"),
        (("--bundle", "empty.json"), "empty.json holds no Node and no apps/DaemonSet objects"),
    ],
)
def test_doctor_used_wrongly(gpuyard, tmp_path, args, expected):
    (tmp_path / "broken.json").write_text('{"kind": "List", "items": [')
    (tmp_path / "empty.json").write_text('{"apiVersion": "v1", "kind": "List", "items": []}')
    done = gpuyard("doctor", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1
