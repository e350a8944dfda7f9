"""Grace that somebody else cuts short, and budgets that let nobody go.

cluster-autoscaler waits ten minutes for a pod, unless told otherwise. A NodePool of Karpenter may
have a ``terminationGracePeriod``: when it is over the node goes, whatever pods, budgets and
``do-not-disrupt`` say; pods are deleted early enough that their own grace fits in.

A PodDisruptionBudget that allows no disruption never lets a node drain. Driver upgrades and
consolidation wait for it for ever; where the pods are stuck, so is the budget.

Sources: cluster-autoscaler FAQ (2026-08), ``--max-graceful-termination-sec`` (600); karpenter v1.8,
pkg/apis/v1 NodeClaimTemplateSpec.terminationGracePeriod; k8s.io/api 1.37, policy/v1; gpu-operator
#2509.
"""

import re
from collections.abc import Iterator
from math import ceil

from gpuyard.dialects.workloads import PodView, Workload, counts
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.disruption.evictions import DO_NOT_DISRUPT, NODE_POOL
from gpuyard.lint.rules.disruption.machines import has_key
from gpuyard.lint.rules.samples import SERVER, TRAIN, changed, together
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

BUDGET = "policy/PodDisruptionBudget"
AUTOSCALER_WAITS = 600
POOL_GRACE = ("spec", "template", "spec", "terminationGracePeriod")
_PART = re.compile(r"([0-9]+)(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_PERCENT = re.compile(r"([0-9]{1,3})%")


def check_autoscaler(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find grace periods longer than the autoscaler waits."""
    grace = pod.spec.whole("terminationGracePeriodSeconds") or 0
    if grace > AUTOSCALER_WAITS and not has_key(pod, "karpenter.sh/"):
        yield Hit(
            pod.spec.at("terminationGracePeriodSeconds"),
            f"{grace} seconds of grace, of which the cluster autoscaler waits {AUTOSCALER_WAITS} "
            "unless configured",
            of="value",
        )


def check_pool(pool: Entry, world: World) -> Iterator[Hit]:
    """Find NodePools that end before their pods have finished."""
    written = pool.text(*POOL_GRACE)
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(written))
    if not seconds:
        return
    for entry in world.looked_at:
        for pod in entry.workload.gpu_pods if entry.workload is not None else ():
            if pod.spec.text("nodeSelector", "karpenter.sh/nodepool") != pool.name:
                continue
            grace = pod.spec.whole("terminationGracePeriodSeconds") or 0
            guarded = _is_guarded(pod) and not _ends_within(pod.workload, seconds)
            if grace > seconds or guarded:
                wants = f"{grace} seconds" if grace > seconds else "not to be disrupted"
                yield Hit(
                    POOL_GRACE,
                    f"NodePool {pool.name} ends its nodes after {written}, though {entry.title} "
                    f"asks for {wants}",
                    of="value",
                )
                return


def _is_guarded(pod: PodView) -> bool:
    return pod.annotations.get(DO_NOT_DISRUPT) == "true"


def _ends_within(workload: Workload, seconds: int) -> bool:
    """Tell whether a deadline of its own ends a workload in that time."""
    deadline = workload.whole(*workload.row.deadline) if workload.row.deadline else None
    return deadline is not None and deadline <= seconds


def check_budget(world: World, _world: World) -> Iterator[Hit]:
    """Find budgets over GPU pods that allow no disruption."""
    if not world.of_kind(BUDGET):
        return
    selected: dict[int, list[PodView]] = {}
    for entry in world.looked_at:
        for pod in entry.workload.gpu_pods if entry.workload is not None else ():
            if world.owner(entry) is None:
                for budget in world.selecting(BUDGET, ("spec", "selector"), pod):
                    selected.setdefault(id(budget), []).append(pod)
    for budget in world.of_kind(BUDGET):
        pods = selected.get(id(budget), [])
        total = counts.total([pod.count for pod in pods]) or None
        for field in ("maxUnavailable", "minAvailable") if pods else ():
            if _allows_none(field, budget.get("spec", field), total):
                yield Hit(
                    ("spec", field),
                    f"{field} {budget.get('spec', field)} of "
                    f"{count(total, 'pod') if total else 'the pods'} lets none of them go",
                    of="value",
                    on=budget,
                )


def _allows_none(field: str, value: object, total: int | None) -> bool:
    """Tell whether a budget can never allow a disruption."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    percent = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if field == "maxUnavailable":
        return value in {0, "0%"}
    if percent:
        # kube rounds the wanted number up: 90 % of 5 are 5
        wanted = int(percent[1])
        return wanted >= 100 or (total is not None and ceil(total * wanted / 100) >= total)  # noqa: PLR2004
    return isinstance(value, int) and total is not None and value >= total


_POOL = """\
apiVersion: karpenter.sh/v1
kind: NodePool
metadata:
  name: gpus
spec:
  template:
    spec:
      terminationGracePeriod: 48h
"""
_PATIENT = changed(
    changed(
        TRAIN,
        "    spec:\n      subdomain",
        "    metadata:\n      annotations:\n        team: research\n    spec:\n      subdomain",
    ),
    "      subdomain: train\n",
    "      subdomain: train\n      terminationGracePeriodSeconds: 300\n"
    "      nodeSelector:\n        karpenter.sh/nodepool: gpus\n",
)
_BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: llm
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {app: llm}
"""

RULES = (
    Rule(
        id="GRACE-AUTOSCALER",
        severity="info",
        title="A grace period is no longer than the autoscaler waits",
        why="When it removes a node, the cluster autoscaler waits ten minutes and then ends the "
        "machine, with pods that have not finished.",
        remedy="finish within ten minutes, or raise --max-graceful-termination-sec",
        source="cluster-autoscaler FAQ (2026-08), How does CA deal with graceful termination",
        scope="pod",
        check=check_autoscaler,
        failing=changed(
            TRAIN,
            "      subdomain: train\n",
            "      subdomain: train\n      terminationGracePeriodSeconds: 3600 # <- here\n",
        ),
        passing=changed(
            TRAIN,
            "      subdomain: train\n",
            "      subdomain: train\n      terminationGracePeriodSeconds: 600\n",
        ),
    ),
    Rule(
        id="GRACE-NODE-POOL",
        severity="warning",
        title="A NodePool grants the time that its pods ask for",
        why="When terminationGracePeriod is over Karpenter deletes the node with all pods, past "
        "budgets, do-not-disrupt and their own grace.",
        remedy="leave terminationGracePeriod out for pools with training, or raise it",
        source="karpenter v1.8, pkg/apis/v1 NodeClaimTemplateSpec.terminationGracePeriod",
        scope="object",
        kinds=(NODE_POOL,),
        check=check_pool,
        failing=together(
            changed(_POOL, "Period: 48h", "Period: 1m # <- here"),
            _PATIENT,
        ),
        passing=together(_POOL, _PATIENT),
    ),
    Rule(
        id="EVICT-BUDGET",
        severity="warning",
        title="A PodDisruptionBudget lets a pod go at some time",
        why="A budget that allows no disruption blocks every drain. Driver upgrades stop at that "
        "node for ever, and with them the nodes after it.",
        remedy="set maxUnavailable: 1, or minAvailable below the number of replicas",
        source="Kubernetes documentation, Specifying a Disruption Budget; NVIDIA/gpu-operator "
        "#2509",
        scope="world",
        check=check_budget,
        failing=together(
            changed(_BUDGET, "maxUnavailable: 1", "minAvailable: 2 # <- here"),
            changed(SERVER, "replicas: 1", "replicas: 2"),
        ),
        passing=together(_BUDGET, changed(SERVER, "replicas: 1", "replicas: 2")),
    ),
)
