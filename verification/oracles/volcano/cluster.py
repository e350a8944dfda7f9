"""A row as our session: nodes, queues, jobs, policy.

How Volcano's notions are said in ours:

- a tier of hypernodes is a level of a topology; *hard* with a highest tier requires that level and
  prefers the narrowest, *soft* only prefers. A tier above all that exist requires nothing;
- a pod group is a job; its roles with minimums, or its sub-groups, are leaves. A sub-group is
  placed whole, as Volcano reserves it (SubJobInfo.GetMinResources);
- pods that may not be preempted count first against their group's minimum; where a pass evicts,
  they are a job of their own, which nobody may touch;
- the gang plugin lets a job lose only what it has beyond its minimum: a least run time for ever;
- a pod whose preemption policy is Never waits for ever before it may make others go;
- a closed queue may hold nothing more: its limit is zero;
- a hard shard is required of every pending pod, a soft one preferred with a weight above all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from gpuyard.dialects import core
from gpuyard.model.constraints import NodeSelectorTerm, PreferredNodes, Requirement
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.policy import DEVICES, PlacementPolicy, WeightedScore
from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.model.resources import CPU, MEMORY
from gpuyard.model.topology import Topology
from gpuyard.model.workloads import PodTemplate
from gpuyard.scheduling.deserved import shares
from gpuyard.scheduling.deserved.shares import UNLIMITED, DeservedQueue, Quota, ShareTree
from gpuyard.scheduling.passes.jobs import DomainRequest, Group, Job, Leaf, Pod, PodState
from gpuyard.scheduling.passes.knobs import PassKnobs, PassName
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.snapshot import Snapshot
from verification.oracles.rows import Json
from verification.oracles.volcano import objects
from verification.oracles.volcano.objects import PREEMPTABLE, TASK_ROLE, PodGroup, SubGroups

PASSES: Mapping[str, PassName] = {
    "allocate": "allocate",
    "backfill": "allocate",  # of pods that ask for nothing; to us they are pods like others
    "preempt": "preempt",
    "reclaim": "reclaim",
}
EVICTS = frozenset({"preempt", "reclaim"})
FOR_EVER_NS = 2**62
HYPERNODES = "hypernodes"
SHARD = "volcano.sh/in-shard"
SHARD_WEIGHT = 1000
STATES: Mapping[str, PodState] = {"Pending": "pending", "Running": "running"}


def session_of(case: Mapping[str, Json]) -> Session:
    """Return the session of a row, with the passes that its test runs."""
    spared_ns = FOR_EVER_NS if case.get("KeepsGangs") else 0
    return Session(
        _placer(case),
        _placer(case),
        _jobs_of(case),
        _tree_of(case),
        topologies=_topologies_of(case),
        knobs=PassKnobs(
            passes=tuple(dict.fromkeys(PASSES[name] for name in case["Actions"])),
            preempt_min_runtime_ns=spared_ns,
            reclaim_min_runtime_ns=spared_ns,
        ),
    )


def _placer(case: Mapping[str, Json]) -> Placer:
    snapshot = Snapshot()
    shard = case.get("NodesInShard") or ()
    for rank, node in enumerate(objects.nodes_of(case)):
        metadata = node["metadata"]
        if metadata["name"] in shard:
            metadata["labels"][SHARD] = "true"
        snapshot.apply(NodeObserved(core.node(node, rank=rank)))
    return Placer(snapshot, _policy_of(case), np.random.default_rng(0))


def _policy_of(case: Mapping[str, Json]) -> PlacementPolicy:
    scores = [WeightedScore(name=name, weight=weight) for name, weight in case["Scores"]]
    if case.get("ShardingMode") == "soft":
        scores = [each for each in scores if each.name != "node-affinity"]
        scores.append(WeightedScore(name="node-affinity", weight=SHARD_WEIGHT))
    return PlacementPolicy(scores=tuple(scores))


def _topologies_of(case: Mapping[str, Json]) -> dict[str, Topology]:
    levels = tuple(objects.tiers_of(case))
    return {HYPERNODES: Topology(name=HYPERNODES, levels=levels)} if levels else {}


# -- queues


def _tree_of(case: Mapping[str, Json]) -> ShareTree:
    return shares.build(
        DeservedQueue(
            name=each.name,
            priority=each.priority,
            quotas=tuple((name, _quota(each, name)) for name in (CPU, DEVICES, MEMORY)),
        )
        for each in objects.queues_of(case)
    )


def _quota(queue: objects.Queue, resource: str) -> Quota:
    limit = queue.capability.as_dict().get(resource, UNLIMITED)
    return Quota(
        deserved=queue.deserved.get(resource),
        limit=limit if queue.is_open else 0,
        weight_nano=queue.weight * WEIGHT_ONE_NANO,
    )


# -- jobs


def _jobs_of(case: Mapping[str, Json]) -> Iterator[Job]:
    priorities = objects.priorities_of(case)
    evicts = bool(EVICTS & set(case["Actions"]))
    nodes = {each["metadata"]["name"] for each in objects.nodes_of(case)}
    pods = objects.pods_of(case)
    for pod in pods:
        if pod["spec"]["nodeName"] and pod["spec"]["nodeName"] not in nodes:
            raise LookupError(objects.GONE_NODE.format(pod["spec"]["nodeName"]))
    for group in objects.pod_groups_of(case):
        mine = [pod for pod in pods if objects.group_key(pod) == group.key]
        fixed = [pod for pod in mine if evicts and _is_fixed(pod)]
        rest = [pod for pod in mine if pod not in fixed]
        value, makes_others_go = priorities.get(group.priority_class, (0, True))
        makes_others_go &= all(
            pod["spec"].get("preemptionPolicy") != "Never" for pod in rest if _waits(pod)
        )
        least = max(0, group.min_member - len(fixed))
        root = Group(name="", members=_members(case, group._replace(min_member=least), rest))
        yield Job(
            group.key,
            group.queue,
            msgspec.structs.replace(root, domain=_domain(case, group.mode, group.tier)),
            [_pod(case, group, pod) for pod in rest],
            priority=value,
            started_ns=0 if any(not _waits(pod) for pod in rest) else None,
            preemption_delay_ns=0 if makes_others_go else FOR_EVER_NS,
        )
        if fixed:
            yield _fixed_job(case, group, fixed)


def _fixed_job(case: Mapping[str, Json], group: PodGroup, pods: Sequence[Json]) -> Job:
    return Job(
        f"{group.key} (not preemptable)",
        group.queue,
        Group(name="", members=(Leaf(name="", min_count=len(pods)),)),
        [_pod(case, PodGroup("", "", 0, {}, ""), pod) for pod in pods],
        preemptible=False,
        started_ns=0,
    )


def _is_fixed(pod: Json) -> bool:
    return not _waits(pod) and (pod["metadata"]["labels"] or {}).get(PREEMPTABLE) == "false"


def _waits(pod: Json) -> bool:
    return bool(STATES[pod["status"]["phase"]] == "pending")


def _pod(case: Mapping[str, Json], group: PodGroup, pod: Json) -> Pod:
    spec = {name: value for name, value in pod["spec"].items() if name != "nodeName"}
    return Pod(
        core.pod_key(pod),
        _leaf_name(group, pod),
        _in_shard(case, core.pod_template({**pod, "spec": spec})),
        STATES[pod["status"]["phase"]],
        node=pod["spec"]["nodeName"],
        turn=pod["spec"].get("priority"),
    )


def _in_shard(case: Mapping[str, Json], template: PodTemplate) -> PodTemplate:
    """Return `template` with what the row's shard demands or prefers; its pods demand nothing."""
    mode = case.get("ShardingMode")
    if mode is None:
        return template
    term = NodeSelectorTerm(expressions=(Requirement(SHARD, "In", ("true",)),))
    wish = (
        {"required_nodes": (term,)}
        if mode == "hard"
        else {"preferred_nodes": (PreferredNodes(weight=1, term=term),)}
    )
    constraints = msgspec.structs.replace(template.constraints, **wish)
    return msgspec.structs.replace(template, constraints=constraints)


# -- gangs


def _members(
    case: Mapping[str, Json], group: PodGroup, pods: Sequence[Json]
) -> tuple[Group | Leaf, ...]:
    counts: dict[str, int] = {}
    for pod in pods:
        name = _leaf_name(group, pod)
        counts[name] = counts.get(name, 0) + 1
    if group.sub_groups:
        return tuple(_policy_groups(case, group, counts))
    if _minds_roles(group):
        roles = sorted({*counts, *group.min_by_role})
        return tuple(Leaf(name=role, min_count=group.min_by_role.get(role, 0)) for role in roles)
    return (Leaf(name="", min_count=group.min_member),)


def _minds_roles(group: PodGroup) -> bool:
    """Tell whether roles have minimums: they do where the whole group asks for no less.

    Semantics: JobInfo.CheckTaskReady.
    """
    total = sum(group.min_by_role.values())
    return bool(total) and group.min_member >= total


def _leaf_name(group: PodGroup, pod: Json) -> str:
    labels = pod["metadata"]["labels"] or {}
    for policy in group.sub_groups:
        values = [labels.get(key, "") for key in policy.label_keys]
        if all(values):
            return "-".join((policy.name, *values))
    if group.sub_groups or not _minds_roles(group):
        return ""
    return str(labels.get(TASK_ROLE, ""))


def _policy_groups(
    case: Mapping[str, Json], group: PodGroup, counts: Mapping[str, int]
) -> Iterator[Group | Leaf]:
    """Yield a group for each policy; it wants its sub-groups, all where the job wants all pods."""
    everything = group.min_member >= sum(counts.values())
    for policy in group.sub_groups:
        names = sorted(name for name in counts if name.startswith(f"{policy.name}-"))
        domain = _domain(case, policy.mode, policy.tier)
        leaves = tuple(
            Leaf(name=name, min_count=max(policy.size, counts[name]), domain=domain)
            for name in names
        )
        wanted = len(leaves) if everything else _wanted(policy, leaves, group)
        if leaves or wanted:
            yield Group(name=policy.name, members=leaves, min_members=wanted)
    if "" in counts:
        yield Leaf(name="", min_count=counts[""] if everything else 0)


def _wanted(policy: SubGroups, leaves: Iterable[Leaf], group: PodGroup) -> int:
    """Return how many sub-groups a policy wants: its minimum, or as the job's minimum takes."""
    if policy.min_groups or len(group.sub_groups) > 1:
        return policy.min_groups
    reached, wanted = 0, 0
    for count in sorted(leaf.min_count for leaf in leaves):
        if reached < group.min_member:
            reached, wanted = reached + count, wanted + 1
    return wanted


def _domain(case: Mapping[str, Json], mode: str, tier: int | str) -> DomainRequest | None:
    levels = list(objects.tiers_of(case))
    if not mode or not levels:
        return None
    required = "" if mode == "soft" else _level(case, tier)
    return DomainRequest(topology=HYPERNODES, required=required, preferred=levels[-1])


def _level(case: Mapping[str, Json], tier: int | str) -> str:
    """Return the widest level that a tier allows; "" is the whole cluster."""
    known = sorted(int(each) for each in case.get("HyperNodesSetByTier") or {})
    names: dict[str, int] = case.get("HyperNodesTierNameMap") or {}
    widest = names.get(tier, known[-1] + 1) if isinstance(tier, str) else tier
    if widest > known[-1]:
        return ""
    return objects.tier_label(max(each for each in known if each <= widest))
