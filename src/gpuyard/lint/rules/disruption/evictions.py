"""Who may move a pod: the marks that autoscalers look for.

Two autoscalers empty nodes to save money, and each has a mark that makes it leave a pod alone.
cluster-autoscaler reads ``cluster-autoscaler.kubernetes.io/safe-to-evict`` and Karpenter
``karpenter.sh/do-not-disrupt``, both of the *pod*: on a Job or Deployment they are not seen. The
name that Karpenter had before 0.32, ``do-not-evict``, is not read any more.

Whether there is an autoscaler the documents rarely tell. A training is therefore reported as
unprotected only where one shows: Karpenter's objects or labels, or machines of a cloud whose
clusters scale by themselves.

Sources: cluster-autoscaler FAQ (2026-08), What types of pods can prevent CA from removing a node;
karpenter v1.8, Disruption, Pod-level controls, and its upgrade guide to v1beta1.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.rules.disruption.machines import has_key
from gpuyard.lint.rules.samples import TRAIN, changed
from gpuyard.lint.world import World

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
DO_NOT_EVICT = "karpenter.sh/do-not-evict"
NODE_POOL = "karpenter.sh/NodePool"
# Kinds whose controllers copy no annotation of theirs to the pods
COPIES_NOTHING = frozenset(
    {"CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"}
)
KARPENTER = ("karpenter.sh/", "karpenter.k8s.aws/", "karpenter.azure.com/")
SCALED = (*KARPENTER, "cloud.google.com/gke-", "eks.amazonaws.com/", "kubernetes.azure.com/")


def check_unprotected(pod: PodView, world: World) -> Iterator[Hit]:
    """Find trainings that an autoscaler may move."""
    if pod.workload.row.lifetime != "task" or not pod.is_complete or _is_protected(pod):
        return
    by_karpenter = world.knows(NODE_POOL) or has_key(pod, *KARPENTER)
    if not by_karpenter and not has_key(pod, *SCALED):
        return
    key, value = (DO_NOT_DISRUPT, "true") if by_karpenter else (SAFE_TO_EVICT, "false")
    who = "Karpenter" if by_karpenter else "the cluster autoscaler"
    yield Hit(
        (*pod.metadata_path, "annotations"),
        f"{who} may move the pods of {pod.workload.kind} {pod.workload.name} to empty their nodes",
        remedy=f'annotate the pod template with {key}: "{value}"',
        edits=(Set((*pod.metadata_path, "annotations", key), value),),
    )


def check_misplaced(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find marks on an object that only count on its pods."""
    if workload.kind not in COPIES_NOTHING:
        return
    for key in (SAFE_TO_EVICT, DO_NOT_DISRUPT):
        value = workload.annotations.get(key)
        if value is None or any(key in pod.annotations for pod in workload.pods):
            continue
        yield Hit(
            ("metadata", "annotations", key),
            f"{key} stands on the {workload.kind} and is read only on its pods",
            edits=tuple(
                Set((*pod.metadata_path, "annotations", key), value) for pod in workload.pods
            ),
        )


def check_old_name(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find the name of a mark that Karpenter has given up."""
    if DO_NOT_EVICT in pod.annotations and DO_NOT_DISRUPT not in pod.annotations:
        place = (*pod.metadata_path, "annotations")
        yield Hit(
            (*place, DO_NOT_EVICT),
            f"Karpenter reads {DO_NOT_DISRUPT}, and no more {DO_NOT_EVICT}",
            edits=(Set((*place, DO_NOT_DISRUPT), pod.annotations[DO_NOT_EVICT]),),
        )


def _is_protected(pod: PodView) -> bool:
    return (
        pod.annotations.get(SAFE_TO_EVICT) == "false"
        or pod.annotations.get(DO_NOT_DISRUPT) == "true"
        or pod.annotations.get(DO_NOT_EVICT) == "true"  # meant to be; EVICT-OLD-NAME says it
    )


_GUARDED = changed(
    changed(
        TRAIN,
        "    spec:\n      subdomain",
        '    metadata:\n      annotations:\n        karpenter.sh/do-not-disrupt: "true"\n'
        "    spec:\n      subdomain",
    ),
    "      subdomain: train\n",
    "      subdomain: train\n      nodeSelector:\n        karpenter.sh/nodepool: gpus\n",
)

RULES = (
    Rule(
        id="EVICT-UNPROTECTED",
        severity="warning",
        title="No autoscaler moves a running training",
        why="To save a node an autoscaler evicts its pods and starts them elsewhere. A training "
        "loses everything since its last checkpoint, and all its ranks with it.",
        remedy='annotate the pods with karpenter.sh/do-not-disrupt: "true" or '
        'cluster-autoscaler.kubernetes.io/safe-to-evict: "false"',
        source="cluster-autoscaler FAQ (2026-08); karpenter v1.8, Disruption, Pod-level controls",
        scope="pod",
        check=check_unprotected,
        has_fix=True,
        failing=changed(
            _GUARDED,
            '      annotations:\n        karpenter.sh/do-not-disrupt: "true"\n',
            "      annotations: # <- here\n        team: research\n",
        ),
        passing=_GUARDED,
    ),
    Rule(
        id="EVICT-MISPLACED",
        severity="error",
        title="Marks for autoscalers stand on the pods",
        why="Autoscalers look at pods. An annotation of the Job or Deployment is not copied to "
        "them, and its pods are evicted as if it were not there.",
        remedy="move the annotation to spec.template.metadata.annotations",
        source="cluster-autoscaler FAQ (2026-08); karpenter v1.8, Disruption, Pod-level controls",
        scope="workload",
        check=check_misplaced,
        has_fix=True,
        failing=changed(
            changed(
                _GUARDED,
                '    metadata:\n      annotations:\n        karpenter.sh/do-not-disrupt: "true"\n',
                "",
            ),
            "  labels:\n",
            '  annotations:\n    karpenter.sh/do-not-disrupt: "true" # <- here\n  labels:\n',
        ),
        passing=_GUARDED,
    ),
    Rule(
        id="EVICT-OLD-NAME",
        severity="warning",
        title="Karpenter's mark has its name of today",
        why="Karpenter renamed the annotation in 0.32 and dropped the old name with v1. Pods that "
        "carry only the old one are disrupted like all others.",
        remedy='write karpenter.sh/do-not-disrupt: "true"',
        source="karpenter, Upgrade guide, 0.32 (v1beta1 migration); pkg/apis/v1/labels.go v1.8",
        scope="pod",
        check=check_old_name,
        has_fix=True,
        failing=changed(_GUARDED, 'do-not-disrupt: "true"', 'do-not-evict: "true" # <- here'),
        passing=_GUARDED,
    ),
)
