"""One container: its variables, mounts, options and rights, each with its place."""

import pytest

from gpuyard.dialects.workloads import workload
from gpuyard.dialects.workloads.commands import SCRIPT_CHARS_MAX

PLACE = ("spec", "containers", 0)


def pod(spec):
    found = workload({"apiVersion": "v1", "kind": "Pod", "spec": spec})
    assert found is not None
    (only,) = found.pods
    return only


def container(value, **spec):
    (only,) = pod({"containers": [value], **spec}).containers
    return only


def test_init_containers_come_first_and_sidecars_are_told_apart():
    found = pod(
        {
            "initContainers": [{"name": "a"}, {"name": "b", "restartPolicy": "Always"}],
            "containers": [{"name": "c", "restartPolicy": "Always"}],
        }
    )
    assert [each.name for each in found.all_containers] == ["a", "b", "c"]
    assert [each.name for each in found.init_containers] == ["a", "b"]
    assert [each.name for each in found.containers] == ["c"]
    assert [each.is_sidecar for each in found.all_containers] == [False, True, False]
    assert found.init_containers[1].path == ("spec", "initContainers", 1)


def test_entries_that_are_no_containers_are_passed_over_and_places_stay_right():
    found = pod({"containers": ["x", None, {"name": "c"}]})
    assert [(each.name, each.path) for each in found.containers] == [
        ("c", ("spec", "containers", 2))
    ]


@pytest.mark.parametrize(
    ("env", "value", "path"),
    [
        pytest.param([{"name": "A", "value": "1"}], "1", (*PLACE, "env", 0), id="set"),
        pytest.param([{"name": "B"}, {"name": "A"}], "", (*PLACE, "env", 1), id="set to nothing"),
        pytest.param(
            [{"name": "A", "valueFrom": {"secretKeyRef": {}}}],
            None,
            (*PLACE, "env", 0),
            id="set from a secret",
        ),
        pytest.param(
            [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
            "2",
            (*PLACE, "env", 1),
            id="the last of two counts",
        ),
        pytest.param([{"name": "A", "value": 3}], None, (*PLACE, "env", 0), id="not a text"),
    ],
)
def test_env(env, value, path):
    found = container({"env": env}).env("A")
    assert (found.value, found.path) == (value, path)


@pytest.mark.parametrize("env", [None, "A=1", [], ["A"], [{"name": 3}], {"A": "1"}])
def test_env_that_is_not_set(env):
    assert container({"env": env}).env("A") is None


VOLUMES = [
    {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
    {"name": "cache", "persistentVolumeClaim": {"claimName": "x"}},
]
MOUNTS = [
    {"name": "shm", "mountPath": "/dev/shm/"},
    {"name": "cache", "mountPath": "/data/.cache"},
    {"name": "gone", "mountPath": "/gone"},
    {"name": "cache", "mountPath": "/"},
]


def test_mounts_know_their_volumes():
    found = container({"volumeMounts": MOUNTS}, volumes=VOLUMES)
    shm = found.mount("/dev/shm")
    assert shm.is_memory
    assert (shm.path, shm.volume_path) == ((*PLACE, "volumeMounts", 0), ("spec", "volumes", 0))
    assert shm.volume == VOLUMES[0]
    assert not found.mount("/data/.cache/").is_memory
    assert found.mount("/gone").volume == {}
    assert found.mount("/gone").volume_path == ("spec", "volumes")
    assert found.mount("/dev") is None


@pytest.mark.parametrize(
    ("file", "mount_path"),
    [
        ("/dev/shm/x", "/dev/shm/"),
        ("/dev/shm", "/dev/shm/"),
        ("/data/.cache/huggingface/hub", "/data/.cache"),
        ("/data/.cached", "/"),
        ("/data/.cache/../x", "/"),
        ("/", "/"),
    ],
)
def test_the_mount_that_holds_a_file(file, mount_path):
    found = container({"volumeMounts": MOUNTS}, volumes=VOLUMES)
    assert found.mount_of(file).mount_path == mount_path


def test_a_file_that_no_mount_holds():
    found = container({"volumeMounts": [*MOUNTS[:3], {"name": "x"}, {"mountPath": "relative"}]})
    assert found.mount_of("/etc/passwd") is None
    assert found.mount_of("relative/x") is None


@pytest.mark.parametrize(
    ("command", "args", "value", "path"),
    [
        pytest.param(["vllm", "--tp=4"], [], "4", ("command", 1), id="with an equals sign"),
        pytest.param(["vllm"], ["--tp", "4"], "4", ("args", 0), id="in the next argument"),
        pytest.param([], ["-t", "4"], "4", ("args", 0), id="a short name"),
        pytest.param([], ["-t=4"], "4", ("args", 0), id="a short name with an equals sign"),
        pytest.param([], ["--tp=2", "--tp=4"], "4", ("args", 1), id="the last of two counts"),
        pytest.param([], ["--tp"], "", ("args", 0), id="the last word"),
        pytest.param([], ["--tp", "--x"], "", ("args", 0), id="followed by an option"),
        pytest.param([], ["--tp", "-1"], "-1", ("args", 0), id="a negative number"),
        pytest.param([], ["--tp="], "", ("args", 0), id="an empty value"),
        pytest.param(["sh", "-c", "exec vllm --tp 4"], [], "4", ("command", 2), id="in a script"),
        pytest.param(["sh", "-c"], ["a && vllm --tp 4; b"], "4", ("args", 0), id="before a ;"),
        pytest.param([], ["vllm \\\n  --tp 4 \\\n --x"], "4", ("args", 0), id="over several lines"),
        pytest.param([], ["vllm '--tp' \"4\""], "4", ("args", 0), id="in quotes"),
        pytest.param([], ["echo 'it --tp 4"], "4", ("args", 0), id="a quote without its partner"),
        pytest.param([], ["vllm # comment --tp 4"], None, None, id="in a comment of the script"),
        pytest.param([], ["--tpx=4", "tp=4"], None, None, id="another word"),
        pytest.param("--tp=4", None, None, None, id="a text where a list belongs"),
    ],
)
def test_flag(command, args, value, path):
    found = container({"command": command, "args": args}).flag("--tp", "-t")
    if value is None:
        assert found is None
    else:
        assert (found.value, found.path) == (value, (*PLACE, *path))


def test_dashes_and_underscores_of_an_option_are_one():
    found = container({"args": ["--max_model_len=5", "--master-addr", "x"]})
    assert found.flag("--max-model-len").value == "5"
    assert found.flag("--master_addr").value == "x"


def test_a_script_that_is_too_long_is_split_at_blanks():
    script = "x " * SCRIPT_CHARS_MAX + "--tp 4"
    assert container({"args": [script]}).flag("--tp").value == "4"


def test_command_line_keeps_words_and_places():
    found = container({"command": ["a", 3], "args": ["b c"]})
    assert found.command_line == (
        ("a", (*PLACE, "command", 0)),
        ("b c", (*PLACE, "args", 0)),
    )
    assert [word for word, _ in found.words] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("own", "of_pod", "expected"),
    [
        ({"runAsUser": 0}, {"runAsUser": 5}, 0),
        ({}, {"runAsUser": 5}, 5),
        (None, {"runAsUser": 5}, 5),
        ({"runAsUser": 3}, None, 3),
        ("x", "y", None),
    ],
)
def test_security(own, of_pod, expected):
    found = container({"securityContext": own}, securityContext=of_pod)
    assert found.security("runAsUser") == expected


def test_rights():
    added = {"capabilities": {"add": ["IPC_LOCK", "CAP_SYS_NICE", 3]}, "privileged": True}
    found = container({"securityContext": added})
    assert found.capabilities == {"IPC_LOCK", "SYS_NICE"}
    assert found.is_privileged
    assert not container({"securityContext": {"privileged": "true"}}).is_privileged


def test_a_request_that_is_left_out_is_the_limit():
    found = container(
        {"resources": {"limits": {"cpu": 2, "memory": "1Gi"}, "requests": {"cpu": 1}}}
    )
    assert (found.requested("cpu"), found.requested("memory"), found.requested("x")) == (
        1,
        "1Gi",
        None,
    )


def test_the_containers_of_kserve_and_of_a_train_job_look_like_others():
    service = workload(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "spec": {
                "predictor": {
                    "volumes": VOLUMES,
                    "model": {
                        "args": ["--tp=4"],
                        "resources": {"limits": {"nvidia.com/gpu": "4"}},
                        "volumeMounts": MOUNTS,
                    },
                }
            },
        }
    )
    (model,) = service.pods[0].containers
    assert (model.name, model.path) == ("model", ("spec", "predictor", "model"))
    assert model.mount("/dev/shm").is_memory
    assert (model.flag("--tp").value, service.pods[0].gpus) == ("4", 4)
    job = workload(
        {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "spec": {
                "trainer": {
                    "image": "x:1",
                    "numNodes": 2,
                    "env": [{"name": "NCCL_DEBUG", "value": "INFO"}],
                    "resourcesPerNode": {"requests": {"nvidia.com/gpu": 8}},
                }
            },
        }
    )
    (trainer,) = job.pods[0].containers
    assert (trainer.name, trainer.image, job.gpus_total) == ("trainer", "x:1", 16)
    assert trainer.env("NCCL_DEBUG").path == ("spec", "trainer", "env", 0)
    assert trainer.resources_path == ("spec", "trainer", "resourcesPerNode")
    assert trainer.gpu_asks[0].path == (
        *("spec", "trainer", "resourcesPerNode", "requests", "nvidia.com/gpu"),
    )


def test_what_a_view_offers_for_everything_else():
    found = container({"a": {"b": [{"c": "x"}, 3], "n": 2, "t": True}})
    assert found.get("a", "n") == 2
    assert found.text("a", "b", 0, "c") == "x"
    assert found.whole("a", "n") == 2
    assert found.is_true("a", "t")
    assert found.mapping("a", "b") == {}
    assert found.mappings("a", "b") == [(0, {"c": "x"})]
    assert found.at("a", "b", 0) == (*PLACE, "a", "b", 0)
    assert repr(found) == "ContainerView(spec.containers.0)"
