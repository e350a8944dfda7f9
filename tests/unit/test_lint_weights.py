"""Weights: where they are kept, and what of that a manifest decides."""

import pytest

from gpuyard.dialects.workloads import workload
from gpuyard.lint.rules.weights.places import cache_of, hub_model
from gpuyard.lint.servers import engine_of
from tests.small_lint import asking, deployment, env, found, job, other, pod, table

GPU = {"nvidia.com/gpu": 1}
HOME = "/root" + "/.cache/huggingface/hub"


def vllm(*args, model="org/m", **more):
    return asking(GPU, command=["vllm", "serve", model, *args], **more)


def variables(**values):
    return {"env": [{"name": name, "value": value} for name, value in values.items()]}


def mounted(path, name="models"):
    return {"volumeMounts": [{"name": name, "mountPath": path}]}


def volume(name="models", **kind):
    return {"volumes": [{"name": name, **kind}]}


PVC = volume(persistentVolumeClaim={"claimName": "models"})


@pytest.mark.parametrize(
    ("container", "folder"),
    [
        pytest.param(vllm(), HOME, id="root's home"),
        pytest.param(vllm(**env("HF_HOME", "/a")), "/a/hub", id="HF_HOME"),
        pytest.param(
            vllm(**variables(HF_HOME="/a", HF_HUB_CACHE="/b")), "/b", id="HF_HUB_CACHE goes first"
        ),
        pytest.param(vllm(**env("XDG_CACHE_HOME", "/a")), "/a/huggingface/hub", id="XDG"),
        pytest.param(vllm(**env("HOME", "/u")), "/u/.cache/huggingface/hub", id="HOME"),
        pytest.param(vllm("--download-dir", "/d", **env("HF_HOME", "/a")), "/d", id="its option"),
        pytest.param(vllm(securityContext={"runAsUser": 1000}), "", id="somebody's home"),
        pytest.param(vllm(**env("HF_HOME", "$(DATA)")), "", id="from a variable"),
        pytest.param(vllm(envFrom=[{"configMapRef": {"name": "c"}}]), "", id="from elsewhere"),
        pytest.param(
            asking(GPU, image="ghcr.io/huggingface/text-generation-inference:3.0"),
            "/data",
            id="TGI's image",
        ),
    ],
)
def test_where_downloads_go(container, folder):
    view = workload(pod(container)).pods[0].containers[0]
    assert cache_of(view, engine_of(view)) == folder


@pytest.mark.parametrize(
    ("container", "is_downloaded"),
    [
        (vllm(), True),
        (vllm(model="/models/m"), False),
        (vllm("--load-format", "runai_streamer"), False),
        (vllm("--load-format", "safetensors"), True),
        (asking(GPU, command=["python", "train.py"]), False),
        (asking(GPU, image="nvcr.io/nim/meta/llama:1"), False),
    ],
)
def test_what_is_downloaded(container, is_downloaded):
    view = workload(pod(container)).pods[0].containers[0]
    assert (hub_model(view) is not None) == is_downloaded


@table(
    "WEIGHTS-NO-CACHE",
    (pod(vllm()), 1, "no volume"),
    (pod(vllm(**mounted("/root" + "/.cache/huggingface")), **PVC), 0, "at the cache"),
    (pod(vllm(**mounted("/root" + "/.cache")), **PVC), 0, "above the cache"),
    (pod(vllm(**mounted("/data")), **PVC), 1, "beside the cache"),
    (pod(vllm(**mounted("/data"), **env("HF_HOME", "/data")), **PVC), 0, "moved into the volume"),
    (pod(vllm(model="/models/m")), 0, "from a folder"),
    (pod(vllm(**env("HF_HUB_OFFLINE", "1"))), 0, "the other rule speaks"),
    (pod({"command": ["vllm", "serve", "org/m"]}), 0, "no GPU"),
)
def test_no_cache(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def test_a_volume_beside_the_cache_is_named():
    (finding,) = found(pod(vllm(**mounted("/data")), **PVC), rule="WEIGHTS-NO-CACHE")
    assert "the volume models is mounted at /data" in finding.message


@table(
    "WEIGHTS-OFFLINE",
    (pod(vllm(**env("HF_HUB_OFFLINE", "1"))), 1, "nothing there"),
    (pod(vllm(**env("HF_HUB_OFFLINE", "TRUE"))), 1, "in other words"),
    (pod(vllm(**env("HF_HUB_OFFLINE", "0"))), 0, "not offline"),
    (
        pod(vllm(**env("HF_HUB_OFFLINE", "1"), **mounted("/root" + "/.cache")), **PVC),
        0,
        "a volume holds it",
    ),
)
def test_offline(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


CACHE = mounted("/root" + "/.cache/huggingface")


@table(
    "WEIGHTS-EMPTYDIR",
    (pod(vllm(**CACHE), **volume(emptyDir={})), 1, "without a limit"),
    (pod(vllm(**CACHE), **volume(emptyDir={"sizeLimit": "9Gi"})), 0, "with a limit"),
    (pod(vllm(**CACHE), **volume(emptyDir={"medium": "Memory"})), 0, "in memory"),
    (pod(vllm(**CACHE), **PVC), 0, "a claim"),
)
def test_empty_directories(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "WEIGHTS-HOSTPATH",
    (pod(vllm(**CACHE), **volume(hostPath={"path": "/models"})), 1, "the node's folder"),
    (pod(vllm(**CACHE), **PVC), 0, "a claim"),
)
def test_host_paths(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def on_disk(limit):
    return asking({**GPU, "ephemeral-storage": limit})


@table(
    "WEIGHTS-DISK-LIMIT",
    (pod(on_disk("9Gi"), **volume(emptyDir={"sizeLimit": "10Gi"})), 1, "one more"),
    (pod(on_disk("10Gi"), **volume(emptyDir={"sizeLimit": "10Gi"})), 0, "as much"),
    (pod(on_disk("5Gi"), on_disk("5Gi"), **volume(emptyDir={"sizeLimit": "10Gi"})), 0, "together"),
    (pod(on_disk("5Gi"), {}, **volume(emptyDir={"sizeLimit": "10Gi"})), 0, "one has no limit"),
    (
        pod(on_disk("1Gi"), **volume(emptyDir={"sizeLimit": "10Gi", "medium": "Memory"})),
        0,
        "in memory",
    ),
)
def test_limits_on_disk(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def claim(*modes):
    return other("PersistentVolumeClaim", name="models", spec={"accessModes": list(modes)})


@table(
    "PVC-ONE-NODE",
    ((deployment(asking(GPU), replicas=2, **PVC), claim("ReadWriteOnce")), 1, "two replicas"),
    ((deployment(asking(GPU), replicas=1, **PVC), claim("ReadWriteOnce")), 0, "one replica"),
    ((job(asking(GPU), count=2, **PVC), claim("ReadWriteOnce")), 1, "a job of two"),
    ((deployment(asking(GPU), replicas=2, **PVC), claim("ReadWriteMany")), 0, "for many"),
    (
        (deployment(asking(GPU), replicas=2, **PVC), claim("ReadWriteOnce", "ReadWriteMany")),
        0,
        "for many as well",
    ),
    (deployment(asking(GPU), replicas=2, **PVC), 0, "nothing known of the claim"),
    (
        (deployment(asking(GPU), kind="DaemonSet", **PVC), claim("ReadWriteOnce")),
        1,
        "on every node",
    ),
)
def test_volumes_of_one_node(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "PVC-ONE-POD",
    ((deployment(asking(GPU), replicas=2, **PVC), claim("ReadWriteOncePod")), 1, "two replicas"),
    ((deployment(asking(GPU), replicas=1, **PVC), claim("ReadWriteOncePod")), 0, "one replica"),
)
def test_volumes_of_one_pod(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "PVC-ROLLOUT",
    ((deployment(asking(GPU), **PVC), claim("ReadWriteOnce")), 1, "starts the second first"),
    ((deployment(asking(GPU), **PVC), claim("ReadWriteOncePod")), 1, "one pod"),
    (
        (deployment(asking(GPU), strategy={"type": "Recreate"}, **PVC), claim("ReadWriteOnce")),
        0,
        "stops the first",
    ),
    (
        (
            deployment(asking(GPU), strategy={"rollingUpdate": {"maxSurge": 0}}, **PVC),
            claim("ReadWriteOnce"),
        ),
        0,
        "no second",
    ),
    ((deployment(asking(GPU), kind="StatefulSet", **PVC), claim("ReadWriteOnce")), 0, "in order"),
)
def test_roll_outs_with_volumes(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


XET = env("HF_XET_HIGH_PERFORMANCE", "1")


@table(
    "HF-BUFFERS",
    (pod(asking({**GPU, "memory": "16Gi"}, **XET)), 1, "16 GiB"),
    (pod(asking({**GPU, "memory": "64Gi"}, **XET)), 0, "64 GiB"),
    (pod(asking(GPU, **XET)), 0, "no limit"),
    (pod(asking({**GPU, "memory": "16Gi"}, **env("HF_XET_HP", "0"))), 0, "switched off"),
)
def test_buffers(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "HF-REMOTE-CODE",
    (pod(vllm("--trust-remote-code")), 1, "a branch"),
    (pod(vllm("--trust-remote-code", "--revision", "8a5d1f")), 0, "a commit"),
    (pod(vllm("--trust-remote-code", model="/models/m")), 0, "from a volume"),
)
def test_remote_code(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def fetched(command, own, later=()):
    first = {"name": "i", "command": command, **own}
    return pod(
        asking(GPU, **dict(later)),
        initContainers=[first],
        volumes=[{"name": "models", "emptyDir": {}}, {"name": "other", "emptyDir": {}}],
    )


HUB = ["hf", "download", "org/m"]


@table(
    "WEIGHTS-PREFETCH",
    (fetched(HUB, mounted("/m")), 1, "nobody mounts it"),
    (fetched(HUB, mounted("/m"), mounted("/w")), 0, "the server mounts it"),
    (fetched(HUB, mounted("/m"), mounted("/w", name="other")), 1, "the server mounts another"),
    (fetched(["sh", "-c", "aws s3 sync s3://a /m"], mounted("/m")), 1, "from a bucket"),
    (fetched(["sh", "-c", "chown -R 1000 /m"], mounted("/m")), 0, "no download"),
    (fetched(["git", "config"], mounted("/m")), 0, "no download either"),
    (fetched(HUB, {}), 0, "into no volume"),
)
def test_prefetch(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


BUCKET = volume(csi={"driver": "gcsfuse.csi.storage.gke.io"})


def annotated(value):
    return {
        **value,
        "metadata": {**value["metadata"], "annotations": {"gke-gcsfuse/volumes": "true"}},
    }


@table(
    "GCSFUSE-ANNOTATION",
    (pod(asking(GPU), **BUCKET), 1, "not there"),
    (annotated(pod(asking(GPU), **BUCKET)), 0, "there"),
    (annotated(deployment(asking(GPU), **BUCKET)), 1, "on the Deployment, not on its pods"),
    (pod(asking(GPU), {"name": "gke-gcsfuse-sidecar"}, **BUCKET), 0, "its own sidecar"),
    (pod(asking(GPU), **volume(csi={"driver": "s3.csi.aws.com"})), 0, "another driver"),
)
def test_buckets(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


STORED = vllm(model="/m/org/m", **mounted("/m"))
CEPH = other(
    "StorageClass", "storage.k8s.io/v1", name="c", namespace=None, provisioner="cephfs.csi.ceph.com"
)


def of_class(name):
    return other("PersistentVolumeClaim", name="models", spec={"storageClassName": name})


@table(
    "WEIGHTS-MAPPED",
    (pod(STORED, **volume(csi={"driver": "s3.csi.aws.com"})), 1, "a bucket"),
    ((pod(STORED, **PVC), of_class("c"), CEPH), 1, "by storage class"),
    ((pod(STORED, **PVC), of_class("c")), 0, "nothing known of the class"),
    (pod(STORED, **volume(nfs={"server": "s", "path": "/"})), 0, "vLLM reads ahead on NFS"),
    (
        pod(
            vllm("--load-format=runai_streamer", model="/m/m", **mounted("/m")),
            **volume(csi={"driver": "s3.csi.aws.com"}),
        ),
        0,
        "streamed",
    ),
)
def test_mapped_weights(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected
