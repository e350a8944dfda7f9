"""What a request counts as in the queues: CPU, memory, and thousandths of devices.

Devices and MIG instances count together: queues deserve GPUs, whatever they are cut into. An
instance counts as many whole GPUs as it has compute slices (``nvidia.com/mig-2g.10gb``: 2), which
is KAI's rule (v0.17, resource_info.GetGpusQuota) and makes instances dear.
"""

import re

from gpuyard.model.nodes import Node
from gpuyard.model.policy import DEVICES
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Request
from gpuyard.scheduling.deserved.shares import Amounts

COUNTED = (CPU, DEVICES, MEMORY)
UNITS = {DEVICES: WHOLE_DEVICE_MILLI}  # a fair share is given in whole devices
_MIG = re.compile(r"nvidia\.com/mig-(\d+)g\..+")


def amounts_of(request: Request) -> Amounts:
    """Return what one pod counts as."""
    devices = request.devices.total_milli if request.devices else 0
    return {
        CPU: request.resources.get(CPU),
        MEMORY: request.resources.get(MEMORY),
        DEVICES: devices + mig_milli(request.resources),
    }


def capacity_of(node: Node) -> Amounts:
    """Return what one node counts as."""
    healthy = sum(device.healthy for device in node.devices)
    return {
        CPU: node.allocatable.get(CPU),
        MEMORY: node.allocatable.get(MEMORY),
        DEVICES: healthy * WHOLE_DEVICE_MILLI + mig_milli(node.allocatable),
    }


def mig_milli(resources: Resources) -> int:
    """Return what MIG instances among `resources` count as, in thousandths of devices."""
    return WHOLE_DEVICE_MILLI * sum(mig_slices(name) * amount for name, amount in resources.amounts)


def mig_slices(resource: str) -> int:
    """Return the compute slices of one MIG instance; 0 for any other resource."""
    match = _MIG.fullmatch(resource)
    return int(match[1]) if match else 0
