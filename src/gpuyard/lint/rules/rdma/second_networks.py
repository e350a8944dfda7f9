"""Second networks of a pod: that they exist, and that a card is asked for with each.

Multus attaches the networks that an annotation names. Each is described by an object, the
NetworkAttachmentDefinition; where it carries a resource name, Multus takes for each attachment one
of the devices that the kubelet gave the pod. A name without an object, or an attachment without a
device, keeps the pod in ContainerCreating. Slots (``rdma/…``) are no such devices: a macvlan beside
a shared card needs none, and pods whose devices come by claim are not counted.

The network-resources-injector writes the right number when the pod is made, into the first
container only. Where it is known to be there, nothing is said unless the GPUs are in another
container; where nothing is known of it, a number that is too small is reported, one that is
missing is not.

Sources: multus-cni v4 (pkg/k8sclient: a device is handed out while ``DeviceIDs`` lasts),
network-resources-injector v1.7 (pkg/webhook).
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.rdma.nics import (
    DEFINITION,
    MAKES_DEFINITIONS,
    NETWORKS,
    asked,
    definition,
    demanded,
    is_slot,
    networks,
)
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

WEBHOOKS = "admissionregistration.k8s.io/MutatingWebhookConfiguration"
INJECTOR = "network-resources-injector"


def check_unknown(pod: PodView, world: World) -> Iterator[Hit]:
    """Find second networks that no definition describes, where definitions were given."""
    if not world.knows(DEFINITION):
        return
    made = {one.name for kind in MAKES_DEFINITIONS for one in world.of_kind(kind)}
    for network in networks(pod) or ():
        if network.name not in made and definition(network, pod, world) is None:
            shown = f"{network.namespace}/{network.name}" if network.namespace else network.name
            yield Hit(
                (*pod.metadata_path, "annotations", NETWORKS),
                f"network {shown} is none of "
                f"{count(len(world.of_kind(DEFINITION)), 'NetworkAttachmentDefinition')} given",
                of="value",
            )


def check_count(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods with more attachments to a network resource than devices asked for."""
    if NETWORKS not in pod.annotations or not world.knows(DEFINITION) or pod.claims:
        return
    if _is_injected(pod, world):
        return
    for resource, attached in demanded(pod, world).items():
        given = asked(pod, resource)
        if is_slot(resource) or given >= attached or (given == 0 and not world.knows(WEBHOOKS)):
            continue
        yield Hit(
            (*pod.metadata_path, "annotations", NETWORKS),
            f"{count(attached, 'network')} of resource {resource}, but the containers ask for "
            f"{given} of it",
            remedy=f"write {resource}: {attached} under the limits of the container with the GPUs",
        )


def _is_injected(pod: PodView, world: World) -> bool:
    """Tell whether the injector is known to ask for devices where the pod has its GPUs."""
    is_there = any(INJECTOR in one.name for one in world.of_kind(WEBHOOKS))
    return is_there and bool(pod.containers) and bool(pod.containers[0].gpu_asks)


RULES = (
    Rule(
        id="RDMA-NETWORK-UNKNOWN",
        severity="warning",
        title="A second network names a NetworkAttachmentDefinition that exists",
        why="Multus looks the definition up when it sets the pod's network up. If it is not there "
        "the pod stays in ContainerCreating, holding its GPUs.",
        remedy="correct the name; write namespace/name where the definition lies in another "
        "namespace than the pod",
        source="multus-cni v4, docs/how-to-use.md; network-plumbing-wg de-facto standard v1.3",
        scope="pod",
        check=check_unknown,
        failing="""\
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: rail-0
---
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
  annotations:
    k8s.v1.cni.cncf.io/networks: rail-00 # <- here
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      resources:
        limits:
          nvidia.com/gpu: 1
""",
        passing="""\
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: rail-0
---
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
  annotations:
    k8s.v1.cni.cncf.io/networks: rail-0
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      resources:
        limits:
          nvidia.com/gpu: 1
""",
    ),
    Rule(
        id="RDMA-NETWORK-COUNT",
        severity="warning",
        title="A device is asked for with every second network",
        why="Each attachment takes one of the pod's devices. When there is none left the network "
        "cannot be set up, and the pod stays in ContainerCreating, holding its GPUs.",
        remedy="ask for as many of the resource as there are networks of it",
        source="multus-cni v4, pkg/k8sclient; network-resources-injector v1.7, pkg/webhook",
        scope="pod",
        check=check_count,
        failing="""\
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: rail
  annotations:
    k8s.v1.cni.cncf.io/resourceName: nvidia.com/hostdev
---
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
  annotations:
    k8s.v1.cni.cncf.io/networks: rail@net1,rail@net2 # <- here
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      securityContext:
        capabilities:
          add: [IPC_LOCK]
      resources:
        limits:
          nvidia.com/gpu: 1
          nvidia.com/hostdev: 1
""",
        passing="""\
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: rail
  annotations:
    k8s.v1.cni.cncf.io/resourceName: nvidia.com/hostdev
---
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
  annotations:
    k8s.v1.cni.cncf.io/networks: rail@net1,rail@net2
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      securityContext:
        capabilities:
          add: [IPC_LOCK]
      resources:
        limits:
          nvidia.com/gpu: 1
          nvidia.com/hostdev: 2
""",
    ),
)
