"""Where checkpoints are written, and whether that outlives the pod.

An emptyDir ends with its pod; so does the container's own file system. A checkpoint there is of use
only to a container that is restarted in place. What is mounted from a claim, a CSI driver or NFS
stays, and so does what goes to an object store.

A path is known where an option or variable names it (``--output_dir``, ``CHECKPOINT_DIR``). For
spot machines it is enough that a training job mounts nothing that stays and names no object store.

Sources: k8s.io/api 1.37, core/v1 EmptyDirVolumeSource; HF Trainer (``--output_dir``), Megatron-LM
(``--save``), torchtitan; Meta, The Llama 3 Herd of Models, 3.3.4; notice times of the clouds in
`gpuyard.lint.rules.disruption.machines`.
"""

import re
from collections.abc import Iterator, Mapping

from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import ContainerView, PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.disruption.machines import spot
from gpuyard.lint.rules.launch.torchrun import launches
from gpuyard.lint.rules.samples import TRAIN, changed
from gpuyard.lint.world import World

GRACE_DEFAULT = 30
OPTIONS = (
    *("--checkpoint-dir", "--checkpoint-path", "--checkpoint-folder", "--ckpt-dir", "--ckpt-path"),
    *("--save-checkpoint-path", "--checkpoint.folder", "--save-dir"),
)
VARIABLES = ("CHECKPOINT_DIR", "CHECKPOINT_PATH", "CKPT_DIR", "CKPT_PATH", "CHECKPOINT_FOLDER")
LOST = frozenset({"emptyDir", "configMap", "secret", "downwardAPI", "projected"})
_REMOTE = re.compile(
    r"\b(?:s3|gs|gcs|az|abfss?|wasbs?|oci|hdfs|r2|cos|oss|swift)://", re.IGNORECASE
)
_REMOTE_NAMES = re.compile(r"BUCKET|S3_|GCS_|AZURE_STORAGE|HF_TOKEN|WANDB|MINIO", re.IGNORECASE)


def check_ephemeral(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find checkpoints that end with the pod."""
    if pod.workload.row.lifetime != "task" or not pod.is_complete:
        return
    for container in pod.containers:
        found = _directory(container) if container.gpu_asks else None
        if found is None:
            continue
        directory, path = found
        mount = container.mount_of(directory)
        volume: Mapping[str, object] = {} if mount is None else mount.volume
        if mount is None or volume.keys() & LOST:
            where = "an emptyDir" if "emptyDir" in volume else "no volume that stays"
            yield Hit(
                path,
                f"container {container.name} writes checkpoints to {directory}, which is on "
                f"{where}",
                of="value",
            )


def check_spot(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find training on machines that are taken away, with nothing that stays."""
    if workload.row.lifetime != "task":
        return
    for pod in workload.gpu_pods:
        wanted = spot(pod)
        if wanted is not None and pod.is_complete and not any(map(_keeps, pod.all_containers)):
            yield Hit(
                wanted.path,
                f"{workload.kind} on {wanted.what}, and it mounts nothing that outlives its pods",
            )


def check_notice(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find grace periods that a machine taken away does not grant."""
    wanted = spot(pod)
    grace = pod.spec.whole("terminationGracePeriodSeconds")
    if wanted is not None and grace is not None and grace > max(wanted.notice, GRACE_DEFAULT):
        yield Hit(
            pod.spec.at("terminationGracePeriodSeconds"),
            f"{grace} seconds of grace, but {wanted.what} is gone about {wanted.notice} seconds "
            "after its notice",
            of="value",
        )


def check_grace(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find trainings with a checkpoint to write and the default time for it."""
    written = pod.spec.whole("terminationGracePeriodSeconds")
    if pod.workload.row.lifetime != "task" or not pod.is_complete:
        return
    if any(True for _ in launches(pod)):  # it has 30 seconds of its own: GRACE-TORCHRUN
        return
    if (written is None or written <= GRACE_DEFAULT) and any(map(_directory, pod.containers)):
        yield Hit(
            pod.spec.at("terminationGracePeriodSeconds"),
            f"{GRACE_DEFAULT if written is None else written} seconds"
            f"{' (the default)' if written is None else ''} between SIGTERM and SIGKILL to write a "
            "checkpoint",
            of="value",
        )


def _directory(container: ContainerView) -> tuple[str, Path] | None:
    """Return the directory of checkpoints, if it is named and local."""
    option = container.flag(*OPTIONS)
    if option is not None and option.value.startswith("/") and "$" not in option.value:
        return option.value, option.path
    for name in VARIABLES:
        variable = container.env(name)
        if variable is not None and (variable.value or "").startswith("/"):
            return variable.value or "", variable.path
    return None


def _keeps(container: ContainerView) -> bool:
    """Tell whether a container may write somewhere that outlives its pod."""
    if any(mount.volume.keys() - LOST - {"name"} or not mount.volume for mount in container.mounts):
        return True
    if container.mappings("envFrom") or any(map(_REMOTE_NAMES.search, container.variables)):
        return True
    values = (one.value or "" for one in container.variables.values())
    return any(map(_REMOTE.search, (*values, *(word for word, _ in container.command_line))))


_KEPT = changed(
    changed(
        changed(
            TRAIN,
            "            - train.py\n",
            "            - train.py\n            - --checkpoint-dir=/checkpoints/run-1\n",
        ),
        "              mountPath: /dev/shm\n",
        "              mountPath: /dev/shm\n            - name: checkpoints\n"
        "              mountPath: /checkpoints\n",
    ),
    "      volumes:\n",
    "      volumes:\n        - name: checkpoints\n          persistentVolumeClaim:\n"
    "            claimName: checkpoints\n",
)
_PATIENT = changed(
    _KEPT,
    "      subdomain: train\n",
    "      subdomain: train\n      terminationGracePeriodSeconds: 120\n",
)
_ALONE = changed(
    _PATIENT,
    """\
            - torchrun
            - --nnodes=2
            - --nproc_per_node=8
            - --node_rank=$(JOB_COMPLETION_INDEX)
            - --master_addr=train-0.train
""",
    "            - python\n",
)
_ON_SPOT = changed(
    _PATIENT,
    "      subdomain: train\n",
    "      subdomain: train\n      nodeSelector:\n        karpenter.sh/capacity-type: spot\n",
)

RULES = (
    Rule(
        id="CKPT-EPHEMERAL",
        severity="warning",
        title="Checkpoints outlive the pod that writes them",
        why="An emptyDir and the container's own files are deleted with the pod. After an eviction "
        "or the loss of a node the training starts from its first step.",
        remedy="write to a volume that stays (a PersistentVolumeClaim) or to an object store",
        source="k8s.io/api 1.37, core/v1 EmptyDirVolumeSource",
        scope="pod",
        check=check_ephemeral,
        failing=changed(
            changed(
                _KEPT,
                "          persistentVolumeClaim:\n            claimName: checkpoints\n",
                "          emptyDir: {}\n",
            ),
            "run-1",
            "run-1 # <- here",
        ),
        passing=_KEPT,
    ),
    Rule(
        id="CKPT-GRACE",
        severity="info",
        title="There is time to write a checkpoint before the end",
        why="Between SIGTERM and SIGKILL a pod has 30 seconds unless it asks for more. A last "
        "checkpoint that takes longer is lost, or left half written.",
        remedy="set terminationGracePeriodSeconds to more than a checkpoint takes",
        source="Kubernetes documentation, Pod Lifecycle, Termination of Pods; kubeflow/trainer "
        "#3285",
        scope="pod",
        check=check_grace,
        failing=changed(_ALONE, "Seconds: 120", "Seconds: 30 # <- here"),
        passing=_ALONE,
    ),
    Rule(
        id="SPOT-NO-STORE",
        severity="warning",
        title="Training on spot machines writes what outlives them",
        why="A spot machine is taken away at two minutes' notice or less, sooner or later. With "
        "nothing stored elsewhere all work up to then is lost.",
        remedy="mount a PersistentVolumeClaim for checkpoints, or write them to an object store",
        source="AWS, GKE and AKS documentation on spot machines; Meta, The Llama 3 Herd of Models, "
        "section 3.3.4",
        scope="workload",
        check=check_spot,
        failing=changed(
            changed(
                _ON_SPOT,
                "          persistentVolumeClaim:\n            claimName: checkpoints\n",
                "          emptyDir: {}\n",
            ),
            "capacity-type: spot",
            "capacity-type: spot # <- here",
        ),
        passing=_ON_SPOT,
    ),
    Rule(
        id="SPOT-GRACE",
        severity="warning",
        title="The grace period fits the notice of a spot machine",
        why="The machine is switched off when its notice is over, whatever the pod was promised. A "
        "checkpoint that counts on more time is cut off.",
        remedy="finish within the notice: write checkpoints often and small ones at the end",
        source="AWS documentation, Spot Instance interruption notices (120 s); GKE documentation, "
        "Spot VMs (15 s for pods); Azure documentation, Scheduled Events (30 s)",
        scope="pod",
        check=check_notice,
        failing=changed(_ON_SPOT, "Seconds: 120", "Seconds: 600 # <- here"),
        passing=_ON_SPOT,
    ),
)
