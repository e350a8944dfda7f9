"""Weights on a file system that needs something from the pod.

Cloud Storage FUSE on GKE runs in a sidecar that a webhook adds to pods with the annotation
``gke-gcsfuse/volumes: "true"``; without it the volume is never mounted and the pod never starts. On
a Deployment's own metadata the annotation does nothing: it belongs on the pod template.

Servers read weights through memory maps. On a network file system each touched page is a round
trip, and a model takes tens of minutes where reading it in one piece takes seconds. vLLM reads
ahead by itself on NFS and Lustre; on a bucket or CephFS it has to be told.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import ContainerView, Mount, PodView
from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.servers import engine_of, model_of
from gpuyard.lint.world import Entry, World

GCSFUSE = "gcsfuse.csi.storage.gke.io"
ANNOTATION = "gke-gcsfuse/volumes"
SIDECAR = "gke-gcsfuse-sidecar"
MAPPED_SLOWLY = {
    GCSFUSE: "Cloud Storage FUSE",
    "s3.csi.aws.com": "Mountpoint for S3",
    "blob.csi.azure.com": "Azure Blob storage",
    "cephfs.csi.ceph.com": "CephFS",
}
READS_AHEAD = (
    *("--load-format", "--safetensors-load-strategy", "--model-loader-extra-config"),
    "--weight-loader-disable-mmap",
)


def check_annotation(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find volumes of a bucket in pods without the annotation that brings the sidecar."""
    if pod.annotations.get(ANNOTATION) == "true" or not pod.is_complete:
        return
    if any(one.name == SIDECAR for one in pod.all_containers):
        return
    for index, volume in pod.spec.mappings("volumes"):
        if plain.text(volume, "csi", "driver") == GCSFUSE:
            path = (*pod.metadata_path, "annotations", ANNOTATION)
            yield Hit(
                pod.spec.at("volumes", index, "csi"),
                f"volume {plain.text(volume, 'name')} is a bucket, and the pod has no annotation "
                f'{ANNOTATION}: "true"',
                edits=(Set(path, "true"),),
            )
            return


def check_maps(pod: PodView, world: World) -> Iterator[Hit]:
    """Find models that are read through memory maps from a slow file system."""
    for container in pod.containers:
        engine = engine_of(container)
        if engine not in {"vllm", "sglang"} or container.flag(*READS_AHEAD) is not None:
            continue
        model = model_of(container, engine)
        mount = container.mount_of(model) if model.startswith("/") else None
        driver = _driver(mount, pod, world) if mount else ""
        if mount is not None and driver in MAPPED_SLOWLY:
            yield Hit(
                _place(container, model),
                f"container {container.name} maps {model} from {MAPPED_SLOWLY[driver]}, page by "
                "page",
            )


def _place(container: ContainerView, model: str) -> tuple[str | int, ...]:
    found = (path for word, path in container.words if model in word)
    return next(found, container.at("args"))


def _driver(mount: Mount, pod: PodView, world: World) -> str:
    """Return the CSI driver behind a mount, "" where there is none or it is not known."""
    inline = plain.text(mount.volume, "csi", "driver")
    claimed = plain.text(mount.volume, "persistentVolumeClaim", "claimName")
    if inline or not claimed:
        return inline
    claim = world.named("PersistentVolumeClaim", claimed, world.entry(pod))
    volume: Entry | None = None
    if claim is not None:
        volume = world.cluster_wide("PersistentVolume", claim.text("spec", "volumeName"))
        if volume is None:
            named = claim.text("spec", "storageClassName")
            storage = world.cluster_wide("storage.k8s.io/StorageClass", named)
            return storage.text("provisioner") if storage is not None else ""
    return volume.text("spec", "csi", "driver") if volume is not None else ""


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: llm
{annotation}\
spec:
  containers:
    - name: vllm
      image: registry.example/vllm:0.11
      command: [vllm, serve, /models/llama-8b]{model}
      args: [{args}]
      resources:
        limits:
          nvidia.com/gpu: 1
      volumeMounts:
        - {{name: models, mountPath: /models}}
  volumes:
    - name: models
      csi:{volume}
        driver: gcsfuse.csi.storage.gke.io
        readOnly: true
        volumeAttributes: {{bucketName: example-models}}
"""
_ANNOTATION = """\
  annotations:
    gke-gcsfuse/volumes: "true"
"""


def _pod(
    *, annotation: str = _ANNOTATION, model: str = "", args: str = "", volume: str = ""
) -> str:
    return _POD.format(annotation=annotation, model=model, args=args, volume=volume)


RULES = (
    Rule(
        id="GCSFUSE-ANNOTATION",
        severity="error",
        title="A pod with a bucket has the annotation for its sidecar",
        why="The volume is mounted by a sidecar that GKE adds to annotated pods only. Without it "
        "the pod stays in ContainerCreating: failed to find the sidecar container in Pod spec.",
        remedy='annotate the pod template with gke-gcsfuse/volumes: "true"',
        source="GKE documentation, Cloud Storage FUSE CSI driver; "
        "GoogleCloudPlatform/gcs-fuse-csi-driver docs/troubleshooting.md, #153",
        scope="pod",
        check=check_annotation,
        has_fix=True,
        failing=_pod(annotation="", volume=" # <- here"),
        passing=_pod(),
    ),
    Rule(
        id="WEIGHTS-MAPPED",
        severity="info",
        title="Weights on a network file system are read ahead",
        why="A memory map over a network fetches page by page: a model loads thirty to fifty times "
        "slower than the network allows.",
        remedy="add --safetensors-load-strategy=prefetch (vLLM) or --weight-loader-disable-mmap "
        "(SGLang), or load with the Run:ai streamer",
        source="vLLM documentation, LoadConfig.safetensors_load_strategy; safetensors #562; "
        "sgl-project/sglang #37806",
        scope="pod",
        check=check_maps,
        failing=_pod(model=" # <- here"),
        passing=_pod(args="--safetensors-load-strategy=prefetch"),
    ),
)
