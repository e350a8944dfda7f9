"""Where a pod can run at all: one table of filters, each a rule with a name in the field.

The rules and their order are kube-scheduler's (k8s.io/kubernetes v1.36.3, default profile), with
ours for devices behind the resources. A node must pass all of them; the first that turns it down
is the one that speaks, as in Kubernetes' own ``0/5 nodes are available: …``.
"""

from gpuyard.scheduling.feasibility import devices, node_resources_fit
from gpuyard.scheduling.rules import Filter

FILTERS: tuple[Filter, ...] = (
    node_resources_fit.FILTER,
    devices.DEVICE_MODEL,
    devices.DEVICE_FIT,
)
