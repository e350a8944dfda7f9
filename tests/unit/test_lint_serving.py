"""Model servers: what is recognised, whom the rules about them leave alone."""

import pytest

from gpuyard.dialects.workloads import workload
from gpuyard.lint.servers import engine_of, is_hub_id, model_of, world_of
from tests.small_lint import asking, deployment, env, found, other, pod, table

GPUS = {"nvidia.com/gpu": 4}


def container(**fields):
    return workload(pod(asking(GPUS, **fields))).pods[0].containers[0]


@pytest.mark.parametrize(
    ("fields", "engine", "model"),
    [
        pytest.param({"command": ["vllm", "serve", "org/m"]}, "vllm", "org/m", id="vllm serve"),
        pytest.param(
            {"command": ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model=org/m"]},
            "vllm",
            "org/m",
            id="vLLM's module",
        ),
        pytest.param(
            {"command": ["sh", "-c", "exec vllm serve org/m --port 80"]},
            "vllm",
            "org/m",
            id="in a script",
        ),
        pytest.param(
            {"image": "docker.io/vllm/vllm-openai:v0.11", "args": ["--model", "org/m"]},
            "vllm",
            "org/m",
            id="by its image",
        ),
        pytest.param(
            {
                "image": "vllm/vllm-openai:v0.11",
                "args": ["--model=$(MODEL)"],
                "env": [{"name": "MODEL", "value": "org/m"}],
            },
            "vllm",
            "org/m",
            id="a variable of its own",
        ),
        pytest.param(
            {"command": ["sh", "-c", "vllm serve ${MODEL}"]}, "vllm", "${MODEL}", id="one unknown"
        ),
        pytest.param(
            {"image": "vllm/vllm-openai:v0.11", "command": ["sleep", "infinity"]},
            None,
            "",
            id="its image, but another command",
        ),
        pytest.param(
            {"command": ["python3", "-m", "sglang.launch_server", "--model-path", "org/m"]},
            "sglang",
            "org/m",
            id="SGLang",
        ),
        pytest.param(
            {
                "image": "ghcr.io/huggingface/text-generation-inference:3.0",
                "env": [{"name": "MODEL_ID", "value": "org/m"}],
            },
            "tgi",
            "org/m",
            id="TGI by its environment",
        ),
        pytest.param({"command": ["trtllm-serve", "org/m"]}, "trtllm", "", id="TensorRT-LLM"),
        pytest.param({"image": "nvcr.io/nim/meta/llama:1"}, "nim", "", id="NIM"),
        pytest.param({"command": ["python", "train.py"]}, None, "", id="no server"),
        pytest.param({"command": ["vllm"], "args": ["bench"]}, None, "", id="vLLM, but not serve"),
    ],
)
def test_what_a_container_serves(fields, engine, model):
    view = container(**fields)
    assert engine_of(view) == engine
    if engine:
        assert model_of(view, engine) == model


@pytest.mark.parametrize(
    ("model", "expected"),
    [("org/m", True), ("/models/m", False), ("./m", False), ("m", False), ("models/m", False)],
)
def test_hub_ids(model, expected):
    assert is_hub_id(model) == expected


@pytest.mark.parametrize(
    ("args", "gpus"),
    [
        ([], 1),
        (["--tensor-parallel-size", "4"], 4),
        (["--tensor_parallel_size=4"], 4),
        (["-tp", "2", "--pipeline-parallel-size", "2"], 4),
        (["--data-parallel-size=2", "-tp=2"], 4),
        (["--data-parallel-size=16", "--data-parallel-size-local=8"], 8),
        (["--data-parallel-size-local=8", "--data-parallel-size=16"], 8),
        (["--tensor-parallel-size", "$(GPUS)"], None),
        (["--tensor-parallel-size", "0"], None),
        (["--config", "/etc/vllm.yaml"], None),
        (["--nnodes", "2", "-tp", "16"], None),
        (["--distributed-executor-backend", "ray", "-tp", "16"], None),
    ],
)
def test_over_how_many_gpus_vllm_spreads(args, gpus):
    found_world = world_of(container(command=["vllm", "serve", "/m"], args=args), "vllm")
    assert (found_world.gpus if found_world else None) == gpus


def vllm(*args, limits=None, **more):
    return asking(limits or GPUS, command=["vllm", "serve", "/m"], args=list(args), **more)


@table(
    "SERVE-GPUS-SHORT",
    (deployment(vllm("-tp", "8")), 1, "eight of four"),
    (deployment(vllm("-tp", "4")), 0, "four of four"),
    (deployment(vllm("-tp", "4", "--pipeline-parallel-size=2")), 1, "two times four"),
    (deployment(vllm("-tp", "8"), kind="StatefulSet"), 1, "a StatefulSet"),
    (
        {
            **other("LeaderWorkerSet", "leaderworkerset.x-k8s.io/v1"),
            "spec": {
                "leaderWorkerTemplate": {
                    "size": 2,
                    "workerTemplate": {"spec": pod(vllm("-tp", "8"))["spec"]},
                }
            },
        },
        0,
        "a group of pods",
    ),
    (
        deployment(asking(GPUS, command=["sh", "-c", "ray start --head; vllm serve /m -tp 8"])),
        0,
        "Ray finds the others",
    ),
    (deployment(vllm("-tp", "8", **env("RAY_ADDRESS", "ray:6379"))), 0, "a Ray cluster"),
    (deployment(vllm("-tp", "8", limits={"aws.amazon.com/neuron": 1})), 0, "Neuron cores"),
    (deployment(vllm("-tp", "8", limits={"nvidia.com/gpu.shared": 4})), 0, "shares"),
    (deployment(vllm("-tp", "4", limits={"google.com/tpu": 4})), 0, "TPU chips"),
)
def test_too_few_gpus(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "SERVE-GPUS-IDLE",
    (deployment(vllm()), 1, "vLLM takes one where nothing is said"),
    (deployment(vllm("-tp", "2")), 1, "two of four"),
    (deployment(vllm("-tp", "4")), 0, "all"),
    (deployment(vllm("--port", "$(PORT)")), 0, "what a variable brings is not known"),
    (
        deployment(
            asking(GPUS, image="ghcr.io/huggingface/text-generation-inference:3.0", args=["-h"])
        ),
        0,
        "TGI takes all it sees",
    ),
    (
        deployment(
            asking(GPUS, command=["sh", "-c", "vllm serve /a -tp 2 & vllm serve /b -tp 2; wait"])
        ),
        0,
        "two servers",
    ),
)
def test_idle_gpus(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def probed(**probes):
    return deployment(vllm("-tp", "4", **probes))


GET = {"httpGet": {"path": "/health", "port": 8000}}


@table(
    "SERVE-LIVENESS",
    (probed(livenessProbe=GET), 1, "thirty seconds by default"),
    (probed(livenessProbe={**GET, "initialDelaySeconds": 150}), 0, "150 and three times ten"),
    (probed(livenessProbe={**GET, "initialDelaySeconds": 149}), 1, "one second less"),
    (
        probed(livenessProbe=GET, startupProbe={**GET, "failureThreshold": 60}),
        0,
        "a startup probe holds it back",
    ),
    (probed(livenessProbe=GET, startupProbe=GET), 1, "an impatient startup probe"),
    (deployment(asking(GPUS, command=["python"], livenessProbe=GET)), 0, "no known server"),
    (probed(readinessProbe=GET), 0, "readiness kills nobody"),
)
def test_liveness(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "SERVE-READINESS",
    (probed(), 1, "none"),
    (probed(readinessProbe=GET), 0, "one"),
    (pod(vllm()), 0, "a pod by itself"),
)
def test_readiness(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "SERVE-GRACE",
    (deployment(vllm()), 1, "the default"),
    (deployment(vllm(), terminationGracePeriodSeconds=30), 1, "the default, written out"),
    (deployment(vllm(), terminationGracePeriodSeconds=31), 0, "more"),
    (deployment(asking(GPUS)), 0, "no known server"),
)
def test_grace(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "ROLLOUT-SURGE",
    (deployment(asking(GPUS)), 1, "one replica"),
    (deployment(asking(GPUS), replicas=3), 1, "a quarter of three is none"),
    (deployment(asking(GPUS), replicas=4), 0, "a quarter of four is one"),
    (deployment(asking(GPUS), replicas=0), 0, "none"),
    (deployment(asking(GPUS), strategy={"type": "Recreate"}), 0, "all at once"),
    (
        deployment(asking(GPUS), strategy={"rollingUpdate": {"maxSurge": 0}}),
        0,
        "no more than there are",
    ),
    (
        deployment(asking(GPUS), strategy={"rollingUpdate": {"maxUnavailable": "100%"}}),
        0,
        "all may be missing",
    ),
    (deployment(asking(GPUS), kind="StatefulSet"), 0, "one after the other"),
)
def test_roll_out(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected
