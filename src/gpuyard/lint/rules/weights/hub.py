"""Settings of the Hugging Face libraries that hurt, or do nothing.

``HF_XET_HIGH_PERFORMANCE`` lets a download buffer 16 GB, and 2 GB more for each file at once, up to
64 GB; it overrides a limit that was set beside it. In a container with less memory the download
ends with an OOM kill. Two older variables are read no longer: ``HF_HUB_ENABLE_HF_TRANSFER`` since
huggingface_hub 1.0, ``TRANSFORMERS_CACHE`` since transformers 5. ``--trust-remote-code`` runs
Python that comes with the weights; without a revision it is whatever the branch holds that day.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.amounts import amount, size
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.weights.places import hub_model, is_on
from gpuyard.lint.world import World

GREEDY = ("HF_XET_HIGH_PERFORMANCE", "HF_XET_HP")
BUFFERS_BYTES = 32 * 2**30  # 16 GB, and eight files at once
UNREAD = {
    "HF_HUB_ENABLE_HF_TRANSFER": "huggingface_hub 1.0",
    "TRANSFORMERS_CACHE": "transformers 5",
}


def check_buffers(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find downloads that may buffer more than the container's memory."""
    for container in pod.all_containers:
        name = next((name for name in GREEDY if is_on(container, name)), None)
        limit = amount(container.limits.get("memory")) if name else None
        if name and limit is not None and limit < BUFFERS_BYTES:
            yield Hit(
                container.variables[name].path,
                f"{name} may buffer 32 GiB and more, but container {container.name} has "
                f"{size(limit)} of memory",
            )


def check_unread(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find variables that nobody reads any more."""
    for container in pod.all_containers:
        for name, since in UNREAD.items():
            variable = container.env(name)
            if variable is not None:
                yield Hit(
                    variable.path,
                    f"{name} of container {container.name} is not read since {since}",
                )


def check_code(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find foreign code of a branch that moves."""
    for container in pod.containers:
        flag = container.flag("--trust-remote-code")
        if flag is None or container.flag("--revision", "--code-revision") is not None:
            continue
        found = hub_model(container)
        if found is not None:
            yield Hit(
                flag.path,
                f"container {container.name} runs the Python code of {found[1]} as it is on the "
                "day of its start",
            )


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: llm
spec:
  containers:
    - name: vllm
      image: registry.example/vllm:0.11
      command: [vllm, serve, example/llama-8b]
      volumeMounts:
        - {name: models, mountPath: /models}
      resources:
        limits:
          memory: 16Gi
          nvidia.com/gpu: 1
"""
_VOLUME = """\
  volumes:
    - name: models
      persistentVolumeClaim: {claimName: models}
"""
_HOME = """\
      env:
        - {name: HF_HOME, value: /models}
"""

RULES = (
    Rule(
        id="HF-BUFFERS",
        severity="warning",
        title="A download buffers no more than the memory limit",
        why="In its high-performance mode the Hub client may hold tens of gigabytes in memory, "
        "whatever limit is set beside it; the container is killed while it downloads and starts "
        "again.",
        remedy="remove the variable, or raise the memory limit to 64Gi",
        source="huggingface/xet-core 2026-08, XetConfig.with_high_performance; "
        "ai-dynamo/dynamo #9884; kserve #4726",
        scope="pod",
        check=check_buffers,
        failing=_POD
        + _HOME
        + """\
        - {name: HF_XET_HIGH_PERFORMANCE, value: "1"} # <- here
"""
        + _VOLUME,
        passing=_POD + _HOME + _VOLUME,
    ),
    Rule(
        id="HF-UNREAD",
        severity="info",
        title="Variables for the Hub are ones that are read",
        why="A variable that nobody reads does nothing: a cache moves back to its default place, "
        "a faster download is as slow as before.",
        remedy="use HF_HOME for the cache; downloads are fast without a variable",
        source="huggingface_hub 1.0 release notes; transformers 5 migration guide",
        scope="pod",
        check=check_unread,
        failing=_POD
        + _HOME
        + """\
        - {name: HF_HUB_ENABLE_HF_TRANSFER, value: "1"} # <- here
"""
        + _VOLUME,
        passing=_POD + _HOME + _VOLUME,
    ),
    Rule(
        id="HF-REMOTE-CODE",
        severity="info",
        title="Code that comes with weights is pinned",
        why="--trust-remote-code runs Python from the model's repository with everything the pod "
        "may do. Whoever can push to its branch can run code in your cluster.",
        remedy="pin a commit with --revision, and with --code-revision where the code is elsewhere",
        source="vLLM v0.11 engine arguments; Hugging Face documentation, Custom models",
        scope="pod",
        check=check_code,
        failing=_POD
        + """\
      args:
        - --trust-remote-code # <- here
"""
        + _HOME
        + _VOLUME,
        passing=_POD
        + """\
      args:
        - --trust-remote-code
        - --revision=8a5d1f6a5d6b0b5a
"""
        + _HOME
        + _VOLUME,
    ),
)
