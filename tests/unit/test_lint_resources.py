"""Whom the rules about what a container asks for leave alone, and what else they find."""

from tests.small_lint import asking, daemon, env, found, pod, table

GPUS = {"nvidia.com/gpu": 2}
NCCL = {"env": [{"name": "NCCL_DEBUG", "value": "WARN"}]}
SHM = {"volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm"}]}


def memory_volume(limit=None, medium="Memory"):
    empty = {"medium": medium} if medium else {}
    return [{"name": "dshm", "emptyDir": {**empty, **({"sizeLimit": limit} if limit else {})}}]


@table(
    "GPU-SHM",
    (pod(asking(GPUS, **NCCL)), 1, "two GPUs"),
    (pod(asking({"nvidia.com/gpu": 1})), 0, "one GPU"),
    (pod(asking(GPUS), hostIPC=True), 0, "the host's shared memory"),
    (pod(asking({"google.com/tpu": 4})), 0, "TPUs talk without it"),
    (pod(asking({"aws.amazon.com/neuron": 4})), 0, "so do Neuron chips"),
    (pod(asking({"amd.com/gpu": 4}, **NCCL)), 1, "RCCL meets there too"),
    (pod(asking(GPUS, image="a/vllm:1")), 1, "an image called after who meets"),
    (pod(asking(GPUS, command=["torchrun", "a.py"])), 1, "a launcher"),
    (pod(asking(GPUS, command=["serve", "--tensor-parallel-size=2"])), 1, "a parallel size"),
    (pod(asking(GPUS)), 0, "a program that is not known"),
    (pod(asking(GPUS, image="a/gpu-burn:1")), 0, "each GPU for itself"),
    (pod(asking(GPUS, image="a/pause:3.2", **NCCL)), 0, "nobody computes"),
    (pod(asking({"nvidia.com/mig-1g.10gb": 2})), 0, "MIG instances do not meet"),
    (pod(asking({"nvidia.com/gpu.shared": 2})), 0, "MPS mounts its own"),
    (pod(asking({**GPUS, "nvidia.com/gpumem": 3000})), 0, "parts of GPUs under HAMi"),
    (pod(asking(GPUS, command=["nvidia-smi"])), 0, "only looks"),
    (pod(asking(GPUS, command=["/bin/sleep", "infinity"])), 0, "waits for somebody"),
    (pod(asking(GPUS, command=["bash", "-c", "sleep 86400"])), 0, "waits in a shell"),
    (pod(asking(GPUS, command=["sh", "-c", "service ssh start; sleep inf"])), 0, "for a login"),
    (pod(asking(GPUS, command=["sh", "-c", "sleep 5; torchrun a.py"])), 1, "waits, then runs"),
    (pod(asking(GPUS, command=["sh", "-c", "tail -f /dev/null"])), 0, "reads nothing"),
    (pod(asking(GPUS, image="a/samples:nvbandwidth-v0.7")), 0, "without NCCL"),
    (pod(asking(GPUS, **SHM), volumes=memory_volume()), 0, "mounted"),
)
def test_shared_memory(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-SHM-UNKNOWN",
    (pod(asking(GPUS)), 1, "two GPUs"),
    (pod(asking(GPUS, command=["python", "-c", "import jax"])), 1, "one process, for all we know"),
    (pod(asking(GPUS, **NCCL)), 0, "certain"),
    (pod(asking(GPUS, image="a/gpu-burn:1")), 0, "each GPU for itself"),
    (pod(asking({"nvidia.com/gpu": 1})), 0, "one GPU"),
    (pod(asking(GPUS, **SHM), volumes=memory_volume()), 0, "mounted"),
)
def test_shared_memory_of_unknown_programs(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-SHM-SIZE",
    (pod(asking({**GPUS, "memory": "8Gi"}, **SHM), volumes=memory_volume("9Gi")), 1, "above"),
    (pod(asking({**GPUS, "memory": "8Gi"}, **SHM), volumes=memory_volume("8Gi")), 0, "as much"),
    (pod(asking(GPUS, **SHM), volumes=memory_volume("9Gi")), 0, "no memory limit"),
    (
        pod(
            asking({**GPUS, "memory": "8Gi"}, **SHM),
            asking({"memory": "2Gi"}),
            volumes=memory_volume("9Gi"),
        ),
        0,
        "the limits of all containers count",
    ),
    (pod(asking(GPUS, **SHM), volumes=memory_volume("32Mi")), 1, "below the default"),
    (pod(asking(GPUS, **SHM), volumes=memory_volume("64")), 1, "64 bytes"),
    (pod(asking(GPUS, **SHM), volumes=memory_volume()), 0, "without a limit of its own"),
    (pod(asking(GPUS, **SHM), volumes=memory_volume("a lot")), 0, "no quantity"),
)
def test_size_of_shared_memory(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-SHM-UNBOUNDED",
    (pod(asking(GPUS, **SHM), volumes=memory_volume()), 1, "nothing bounds it"),
    (pod(asking(GPUS, **SHM), volumes=memory_volume("8Gi")), 0, "its own limit"),
    (pod(asking({**GPUS, "memory": "8Gi"}, **SHM), volumes=memory_volume()), 0, "the container's"),
    (
        pod(asking({**GPUS, "memory": "8Gi"}, **SHM), {}, volumes=memory_volume()),
        1,
        "another container is not bounded",
    ),
)
def test_bounds_of_shared_memory(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-SHM-DISK",
    (pod(asking(GPUS, **SHM), volumes=memory_volume(medium="")), 1, "on disk"),
    (pod(asking(GPUS, **SHM), volumes=memory_volume()), 0, "in memory"),
    (
        pod(asking(GPUS, **SHM), volumes=[{"name": "dshm", "hostPath": {"path": "/dev/shm"}}]),
        0,
        "the node's own",
    ),
)
def test_shared_memory_on_disk(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-LIMITS",
    (pod({"resources": {"requests": {"nvidia.com/gpu": 1}}}), 1, "only a request"),
    (pod(asking({"nvidia.com/gpu": "0.5"})), 1, "a fraction"),
    (pod(asking({"nvidia.com/gpu": "${GPUS}"})), 0, "filled in before it is applied"),
    (pod(asking({"nvidia.com/gpu": "PLACEHOLDER_GPUS"})), 0, "filled in as well"),
    (pod(asking({"nvidia.com/gpu": None})), 1, "no number"),
    (pod(asking({"nvidia.com/gpu": "one"})), 1, "a word"),
)
def test_limits(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-MISPLACED",
    (pod({"resources": {"nvidia.com/gpu": 1}}), 1, "beside limits"),
    (pod({}, resources={"limits": {"nvidia.com/gpu": 1}}), 1, "of the pod as a whole"),
    (pod({}, resources={"limits": {"cpu": 1}}), 0, "cpu of the pod as a whole"),
    (pod(asking(GPUS)), 0, "where it belongs"),
)
def test_misplaced(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


CHOICE = "CUDA_VISIBLE_DEVICES"


@table(
    "GPU-CUDA-INDEX",
    (pod(asking(GPUS, **env(CHOICE, "2"))), 1, "beyond the last"),
    (pod(asking(GPUS, **env(CHOICE, "0,1"))), 0, "both"),
    (pod(asking(GPUS, **env(CHOICE, "GPU-8a0f"))), 0, "by UUID"),
    (pod(asking(GPUS, **env(CHOICE, "-1"))), 0, "switched off on purpose"),
    (pod(env(CHOICE, "2")), 0, "no GPU asked for: another rule's business"),
    (
        pod(asking(GPUS, **env(CHOICE, "5"), securityContext={"privileged": True})),
        0,
        "a privileged container sees all",
    ),
    (pod(asking({"google.com/tpu": 4}, **env(CHOICE, "5"))), 0, "TPUs have other numbers"),
    (pod(asking({"amd.com/gpu": 1}, **env(CHOICE, "1"))), 1, "AMD's GPUs"),
)
def test_numbers_of_gpus(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-CUDA-FEWER",
    (pod(asking(GPUS, **env(CHOICE, "1"))), 1, "one of two"),
    (pod(asking(GPUS, **env(CHOICE, "0,0"))), 1, "the same twice"),
    (pod(asking(GPUS, **env(CHOICE, "0,7"))), 0, "the other rule speaks"),
)
def test_hidden_gpus(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


DOOR = "NVIDIA_VISIBLE_DEVICES"


@table(
    "GPU-UNCOUNTED",
    (pod(env(DOOR, "all")), 1, "all GPUs, none asked for"),
    (pod(env(DOOR, "0")), 1, "one, none asked for"),
    (pod(env(DOOR, "void")), 0, "the door is shut"),
    (pod(env(DOOR, "none")), 0, "shut as well"),
    (pod(asking(GPUS, **env(DOOR, "all"))), 0, "the device plugin overrules it"),
    (daemon(env(DOOR, "all")), 0, "a daemon that watches"),
    (pod(env(DOOR, "$(GPUS)")), 0, "from a variable"),
    (pod(env(DOOR, "all"), resourceClaims=[{"name": "gpu"}]), 0, "a claim"),
)
def test_uncounted_gpus(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def host(path):
    return {"volumes": [{"name": "v", "hostPath": {"path": path}}]}


@table(
    "GPU-DEVICE-FILES",
    (pod({}, **host("/dev/nvidia0")), 1, "a device"),
    (pod({}, **host("/dev/nvidia-uvm")), 1, "unified memory"),
    (pod({}, **host("/dev/dri/")), 1, "render nodes"),
    (pod({}, **host("/dev/kfd")), 1, "AMD's"),
    (pod({}, **host("/dev/shm")), 0, "shared memory"),
    (pod({}, **host("/dev/infiniband")), 0, "a network"),
    (pod({}, **host("/opt/nvidia")), 0, "libraries"),
)
def test_device_files(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


PRIVILEGED = {"securityContext": {"privileged": True}}


@table(
    "GPU-PRIVILEGED",
    (pod(asking(GPUS, **PRIVILEGED)), 1, "a part of a node"),
    (pod(asking({"nvidia.com/gpu": 8}, **PRIVILEGED)), 0, "a whole node"),
    (pod(asking({"google.com/tpu": 4}, **PRIVILEGED)), 0, "TPUs on GKE"),
    (daemon(asking(GPUS, **PRIVILEGED)), 0, "a daemon"),
)
def test_privileged(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-USER-NAMESPACE",
    (pod(asking(GPUS), hostUsers=False), 1, "a namespace of its own"),
    (pod(asking(GPUS), hostUsers=True), 0, "the node's"),
    (pod(asking({"amd.com/gpu": 1}), hostUsers=False), 0, "not NVIDIA's toolkit"),
)
def test_user_namespace(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-INIT",
    (pod(asking(GPUS), initContainers=[asking({"nvidia.com/gpu": 4}, name="i")]), 1, "more"),
    (pod(asking(GPUS), initContainers=[asking(GPUS, name="i")]), 0, "as many: they are reused"),
    (
        pod({}, initContainers=[asking(GPUS, name="i", restartPolicy="Always")]),
        0,
        "a sidecar runs along",
    ),
)
def test_init_containers(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


RANGE = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r", "namespace": "team"}}


@table(
    "GPU-NO-REQUESTS",
    (pod(asking(GPUS)), 1, "neither"),
    (pod(asking({**GPUS, "cpu": 1})), 1, "no memory"),
    (pod(asking({**GPUS, "cpu": 1, "memory": "1Gi"})), 0, "limits count as requests"),
    ((pod(asking(GPUS)), RANGE), 0, "a LimitRange gives defaults"),
    (pod(asking(GPUS), resources={"requests": {"cpu": 1, "memory": "1Gi"}}), 0, "of the pod"),
)
def test_requests(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "HUGEPAGES-ALONE",
    (pod(asking({**GPUS, "hugepages-1Gi": "1Gi"})), 1, "alone"),
    (pod(asking({**GPUS, "hugepages-1Gi": "1Gi", "cpu": 1})), 0, "with cpu"),
)
def test_huge_pages(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


EFA = "vpc.amazonaws.com/efa"


@table(
    "EFA-HUGEPAGES",
    (pod(asking({**GPUS, EFA: 4, "memory": "1Gi"})), 1, "EFA without"),
    (pod(asking({**GPUS, EFA: 0, "memory": "1Gi"})), 0, "no EFA after all"),
)
def test_efa(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-TOO-MANY",
    (pod(asking({"nvidia.com/gpu": 17})), 1, "one more than any machine"),
    (pod(asking({"nvidia.com/gpu": 16})), 0, "as many as the largest"),
    (pod(asking({"nvidia.com/gpu": 9}), asking({"nvidia.com/gpu": 9})), 1, "in two containers"),
    (pod(asking({"nvidia.com/gpu.shared": 40})), 0, "shares"),
    (pod(asking({"aws.amazon.com/neuroncore": 128})), 0, "cores"),
)
def test_too_many(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def test_a_sidecar_with_a_gpu_is_a_container_of_its_own():
    sidecar = asking({"nvidia.com/gpu": 1}, name="s", restartPolicy="Always")
    (finding,) = found(pod(asking(GPUS), initContainers=[sidecar]), rule="GPU-SPLIT")
    assert "s 1, c0 2" in finding.message


def test_a_split_names_both_numbers():
    (finding,) = found(pod(asking(GPUS), asking({"nvidia.com/gpu": 1})), rule="GPU-SPLIT")
    assert "c0 2, c1 1" in finding.message
    assert "3 GPUs" in finding.message


def test_the_template_of_a_request_for_nodes_is_never_run():
    template = {"spec": pod(asking(GPUS, **NCCL))["spec"]}
    stencil = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"}}
    assert found({**stencil, "template": template}, rule="GPU-SHM") == []
