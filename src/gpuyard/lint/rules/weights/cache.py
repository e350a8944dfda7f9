"""Weights that are downloaded again and again.

A server that is given the name of a model downloads it when it starts. Into which folder is decided
by variables; what matters is whether a volume holds that folder. Without one, the weights land in
the container's own layer: each restart downloads them again, tens of gigabytes fill the node's
disk, and every replica adds to the requests for which the hub has a limit. A volume that is mounted
beside that folder is the commonest form of the mistake.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import ContainerView, Mount, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.weights.places import cache_of, hub_model, is_on
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

OTHER_THINGS = ("/dev/", "/etc", "/tmp", "/var/run", "/run", "/proc", "/sys", "/usr")  # noqa: S108


def check_none(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find servers whose downloads no volume holds."""
    for container, model, cache, mount in _downloads(pod):
        if mount is None and not is_on(container, "HF_HUB_OFFLINE"):
            beside = _beside(container)
            where = (
                f"; the volume {beside.name} is mounted at {beside.mount_path}" if beside else ""
            )
            yield Hit(
                container.at("volumeMounts"),
                f"container {container.name} downloads {model} to {cache}, which no volume holds"
                f"{where}",
            )


def check_offline(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find servers that may not download and have nothing to read."""
    for container, model, cache, mount in _downloads(pod):
        if mount is None and is_on(container, "HF_HUB_OFFLINE"):
            offline = container.variables["HF_HUB_OFFLINE"]
            yield Hit(
                offline.path,
                f"container {container.name} may not download {model}, and no volume holds {cache}",
            )


def check_emptied(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find downloads into an emptyDir on a disk, without a limit."""
    for container, model, cache, mount in _downloads(pod):
        if mount is None or "emptyDir" not in mount.volume or mount.is_memory:
            continue
        if plain.get(mount.volume, "emptyDir", "sizeLimit") is None:
            number = pod.count or 0
            replicas = f" by each of {count(number, 'replica')}" if number > 1 else ""
            yield Hit(
                (*mount.volume_path, "emptyDir"),
                f"{model} is downloaded{replicas} to {cache} of container {container.name}, an "
                "emptyDir without a sizeLimit",
            )


def check_host(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find downloads into a folder of the node."""
    for container, model, cache, mount in _downloads(pod):
        if mount is not None and "hostPath" in mount.volume:
            user = container.security("runAsUser")
            may = f", where user {user} may not be allowed to write" if user else ""
            yield Hit(
                (*mount.volume_path, "hostPath"),
                f"{model} is downloaded to {cache} of container {container.name}, a folder of the "
                f"node{may}",
            )


def _downloads(pod: PodView) -> Iterator[tuple[ContainerView, str, str, Mount | None]]:
    """Return the servers that download: the model, the folder, and the mount that holds it."""
    if not pod.is_complete:
        return
    for container in pod.containers:
        found = hub_model(container) if container.gpu_asks else None
        if found is not None:
            engine, model = found
            cache = cache_of(container, engine)
            if cache:
                yield container, model, cache, container.mount_of(cache)


def _beside(container: ContainerView) -> Mount | None:
    """Return a mount that may have been meant for the weights."""
    for mount in container.mounts:
        kinds = mount.volume.keys() & {
            "persistentVolumeClaim",
            "csi",
            "nfs",
            "hostPath",
            "emptyDir",
        }
        if kinds and not mount.is_memory and not mount.mount_path.startswith(OTHER_THINGS):
            return mount
    return None


_SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:
  replicas: 1
  selector:
    matchLabels: {app: llm}
  template:
    metadata:
      labels: {app: llm}
    spec:
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          command: [vllm, serve, example/llama-8b]
          resources:
            limits:
              nvidia.com/gpu: 1
          env:
            - {name: HF_HOME, value: /models}
"""
_MOUNT = """\
          volumeMounts:
            - {name: models, mountPath: /models}
      volumes:
        - name: models
"""
_CLAIM = """\
          persistentVolumeClaim: {claimName: models}
"""
_HUB = "Hugging Face Hub documentation, Environment variables"

RULES = (
    Rule(
        id="WEIGHTS-NO-CACHE",
        severity="warning",
        title="Downloaded weights are kept in a volume",
        why="What is downloaded into the container is gone with it: every restart and every "
        "replica downloads tens of gigabytes again, fills the node's disk and counts against the "
        "hub's limits.",
        remedy="mount a volume at that folder, or point HF_HOME into one that is mounted",
        source=f"{_HUB}; ai-dynamo/dynamo #874; huggingface_hub #3342; KServe #280",
        scope="pod",
        check=check_none,
        failing=_SERVER.replace("- name: vllm", "- name: vllm # <- here"),
        passing=_SERVER + _MOUNT + _CLAIM,
    ),
    Rule(
        id="WEIGHTS-OFFLINE",
        severity="warning",
        title="What may not be downloaded is there",
        why="With HF_HUB_OFFLINE the libraries read only what lies in their cache. Unless the "
        "weights are part of the image, the server ends with 'not found in the cached files'.",
        remedy="mount the volume that holds the cache at that folder, or let it download",
        source=_HUB,
        scope="pod",
        check=check_offline,
        failing=_SERVER
        + """\
            - {name: HF_HUB_OFFLINE, value: "1"} # <- here
""",
        passing=_SERVER
        + """\
            - {name: HF_HUB_OFFLINE, value: "1"}
"""
        + _MOUNT
        + _CLAIM,
    ),
    Rule(
        id="WEIGHTS-EMPTYDIR",
        severity="info",
        title="Weights in an emptyDir have a limit, or a better place",
        why="An emptyDir lives as long as its pod: the next one downloads again. Without a limit "
        "it grows until the node is short of disk, and the kubelet evicts whoever it likes.",
        remedy="keep weights in a PersistentVolumeClaim, or set emptyDir.sizeLimit above their "
        "size",
        source="Kubernetes documentation, Node-pressure Eviction; kubernetes-engine-samples #1581; "
        "LMCache #1399",
        scope="pod",
        check=check_emptied,
        failing=_SERVER
        + _MOUNT
        + """\
          emptyDir: {} # <- here
""",
        passing=_SERVER
        + _MOUNT
        + """\
          emptyDir: {sizeLimit: 40Gi}
""",
    ),
    Rule(
        id="WEIGHTS-HOSTPATH",
        severity="info",
        title="Weights are not left in a folder of the node",
        why="Nobody counts or deletes what lies in a hostPath. Under disk pressure the kubelet "
        "evicts innocent pods and cannot free it, and fsGroup does not change its owner.",
        remedy="use a PersistentVolumeClaim, or a local volume with a size",
        source="kubernetes #127548; kserve #4151, #4852; Kubernetes documentation, hostPath",
        scope="pod",
        check=check_host,
        failing=_SERVER
        + _MOUNT
        + """\
          hostPath: {path: /data/models} # <- here
""",
        passing=_SERVER + _MOUNT + _CLAIM,
    ),
)
