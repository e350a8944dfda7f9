"""NVLink between nodes: GB200 and GB300 racks, and the claim that opens them.

The GPUs of such a rack share memory over NVLink across nodes, if the processes hold an IMEX
channel. The NVIDIA DRA driver hands it out: a ComputeDomain makes a ResourceClaimTemplate, and each
pod of the job claims from it. Pods without the claim run as well; NCCL finds no channel and goes
over the network, which is an order of magnitude slower.

Left alone: pods with any claim (it may be the one), privileged pods and those that get channels by
``NVIDIA_IMEX_CHANNELS``, and whatever is completed by another object.

Sources: kubernetes-sigs/dra-driver-nvidia-gpu of 2026-05, api ComputeDomain; NVIDIA documentation,
Multi-node NVLink on Kubernetes; GFD label ``nvidia.com/gpu.clique``.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.samples import TRAIN, changed, together
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

COMPUTE_DOMAIN = "resource.nvidia.com/ComputeDomain"
TEMPLATE_NAME = ("spec", "channel", "resourceClaimTemplate", "name")
RACKS = ("gb200", "gb300")
CHANNELS = "NVIDIA_IMEX_CHANNELS"
SEVERAL = 2


def check_claim(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find jobs over several nodes of a rack whose pods hold no channel."""
    if (workload.together or 0) < SEVERAL:
        return
    for pod in workload.gpu_pods:
        rack = _rack(pod)
        if not rack or (pod.per_group or pod.count or 0) < SEVERAL or _may_have_channel(pod):
            continue
        yield Hit(
            pod.spec.at("nodeSelector"),
            f"{count(pod.per_group or pod.count or 0, 'pod')} on {rack} nodes, and none claims a "
            "channel of a ComputeDomain",
        )


def check_size(workload: Workload, world: World) -> Iterator[Hit]:
    """Find compute domains that wait for another number of nodes than the job has pods."""
    domains = world.once(_domains)
    for pod in workload.pods:
        for claim in pod.claims:
            domain = domains.get(claim.object_name)
            nodes = None if domain is None else domain.whole("spec", "numNodes")
            pods = workload.pods_total if workload.together != 1 else pod.count
            if domain is not None and nodes and pods is not None and nodes > pods:
                yield Hit(
                    ("spec", "numNodes"),
                    f"the domain waits for {count(nodes, 'node')}, but {workload.title} makes "
                    f"{count(pods, 'pod')}",
                    of="value",
                    on=domain,
                )


def _domains(world: World) -> dict[str, Entry]:
    return {one.text(*TEMPLATE_NAME): one for one in world.of_kind(COMPUTE_DOMAIN)}


def _rack(pod: PodView) -> str:
    selected: Mapping[str, str] = plain.texts(pod.spec.value, "nodeSelector")
    for value in selected.values():
        for rack in RACKS:
            if rack in value.lower():
                return rack.upper()
    return ""


def _may_have_channel(pod: PodView) -> bool:
    return (
        not pod.is_complete
        or bool(pod.claims)
        or any(one.is_privileged or one.env(CHANNELS) is not None for one in pod.containers)
    )


_DOMAIN = """\
apiVersion: resource.nvidia.com/v1beta1
kind: ComputeDomain
metadata:
  name: train
spec:
  numNodes: 2
  channel:
    resourceClaimTemplate:
      name: train-channel
"""
_ON_RACK = changed(
    TRAIN,
    "      subdomain: train\n",
    "      subdomain: train\n      nodeSelector:\n        nvidia.com/gpu.product: NVIDIA-GB200\n",
)
_CLAIMED = changed(
    changed(
        _ON_RACK,
        "      containers:\n",
        "      resourceClaims:\n"
        "        - name: channel\n"
        "          resourceClaimTemplateName: train-channel\n"
        "      containers:\n",
    ),
    "          resources:\n",
    "          resources:\n            claims:\n              - name: channel\n",
)

RULES = (
    Rule(
        id="NVLINK-NO-DOMAIN",
        severity="warning",
        title="A job on NVLink racks claims a channel of a ComputeDomain",
        why="Without an IMEX channel the GPUs of different nodes cannot share memory over NVLink. "
        "NCCL then uses the network, at a fraction of the speed that the rack was bought for.",
        remedy="make a ComputeDomain and claim from its resourceClaimTemplate in the pods",
        source="kubernetes-sigs/dra-driver-nvidia-gpu, ComputeDomain (v1beta1, 2026-05); NCCL user "
        "guide 2.28, NCCL_MNNVL_ENABLE",
        scope="workload",
        check=check_claim,
        failing=changed(_ON_RACK, "nodeSelector:", "nodeSelector: # <- here"),
        passing=together(_DOMAIN, _CLAIMED),
    ),
    Rule(
        id="NVLINK-DOMAIN-SIZE",
        severity="warning",
        title="A ComputeDomain waits for no more nodes than the job has",
        why="Where the driver runs without IMEXDaemonsWithDNSNames, all pods stay in "
        "ContainerCreating until numNodes nodes have joined; with it, the domain never becomes "
        "Ready.",
        remedy="leave numNodes out (it is deprecated), or set it to the number of nodes",
        source="kubernetes-sigs/dra-driver-nvidia-gpu, ComputeDomainSpec.numNodes (2026-05)",
        scope="workload",
        check=check_size,
        failing=together(changed(_DOMAIN, "numNodes: 2", "numNodes: 4 # <- here"), _CLAIMED),
        passing=together(_DOMAIN, _CLAIMED),
    ),
)
