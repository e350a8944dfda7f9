"""Weights that are fetched into a volume which nobody reads.

An init container that downloads ends, and what it wrote is gone with it, unless it wrote into a
volume that a later container mounts. A different name, or a mount that was forgotten, shows only
as a server that downloads everything once more.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World

LOADERS = frozenset(
    {
        *("huggingface-cli", "hf", "s5cmd", "gsutil", "gcloud", "aws", "azcopy", "rclone", "wget"),
        *("modelscope", "curl", "git", "oras"),
    }
)
VERBS = frozenset({"download", "cp", "sync", "copy", "clone", "rsync", "pull"})
ALONE = frozenset({"wget", "curl"})


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find init containers that download into a volume of their own."""
    everybody = pod.all_containers
    for position, container in enumerate(everybody):
        if not container.is_init or container.is_sidecar or not _downloads(container):
            continue
        own = {mount.name for mount in container.mounts if _holds_files(mount.volume)}
        later = {mount.name for one in everybody[position + 1 :] for mount in one.mounts}
        if own and not own & later:
            name = min(own)
            yield Hit(
                container.at("volumeMounts"),
                f"init container {container.name} downloads into the volume {name}, which no "
                "later container mounts",
            )


def _downloads(container: ContainerView) -> bool:
    words = [word.rpartition("/")[2] for word, _ in container.words]
    if any("snapshot_download" in word for word in words):
        return True
    loads = LOADERS.intersection(words)
    return bool(loads and (loads & ALONE or VERBS.intersection(words)))


def _holds_files(volume: object) -> bool:
    kinds = {"emptyDir", "persistentVolumeClaim", "hostPath", "nfs", "csi", "ephemeral"}
    return isinstance(volume, dict) and bool(kinds & volume.keys())


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: llm
spec:
  volumes:
    - name: models
      emptyDir: {sizeLimit: 40Gi}
  containers:
    - name: vllm
      image: registry.example/vllm:0.11
      command: [vllm, serve, /models/llama-8b]
      resources:
        limits:
          nvidia.com/gpu: 1
"""
_INIT = """\
  initContainers:
    - name: fetch
      image: registry.example/hub:1.0
      command: [hf, download, example/llama-8b, --local-dir, /models/llama-8b]
      volumeMounts:
"""
_MOUNT = """\
        - {name: models, mountPath: /models}
"""

RULES = (
    Rule(
        id="WEIGHTS-PREFETCH",
        severity="warning",
        title="What an init container downloads is mounted by the server",
        why="The download takes its minutes at every start and is then thrown away; the server "
        "finds nothing, or downloads everything again.",
        remedy="mount the same volume in the container that serves",
        source="Kubernetes documentation, Init Containers; LLMKube #1676",
        scope="pod",
        check=check,
        failing=_POD + _INIT.replace("volumeMounts:", "volumeMounts: # <- here") + _MOUNT,
        passing=_POD.replace(
            "      resources:", "      volumeMounts:\n" + _MOUNT + "      resources:"
        )
        + _INIT
        + _MOUNT,
    ),
)
