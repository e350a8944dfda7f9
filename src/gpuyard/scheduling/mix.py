"""The typical pods against which fragmentation is measured.

What a fragment is depends on what people ask for: half a GPU is useless to those who want whole
ones. FGD therefore measures idle GPUs against a *mix*: the most frequent classes of requests until
they make up 95 % of all pods. A class is (CPU, share of each GPU, number of GPUs, models that will
do); memory is not part of it. Frequencies are those among the classes that were kept. Classes that
are equally frequent come larger first, in that order of fields, so that where the list is cut does
not depend on the order of the pods.

Source: Weng et al., "Beware of Fragmentation" (FGD), USENIX ATC'23, section 4; the order, the
cut and the order of the two divisions (which decide the last bit, and with it truncated scores)
are those of hkust-adsl/kubernetes-scheduler-simulator, ``GetTypicalPods``. Its default trace has 91
classes, of which 35 are typical.
"""

from collections import Counter
from collections.abc import Iterable

from gpuyard.model.deltas import MixEntry
from gpuyard.model.resources import CPU, Resources
from gpuyard.model.workloads import DeviceRequest, Request

TYPICAL_PCT = 95

RequestClass = tuple[int, int, int, str]  # cpu_milli, milli per GPU, GPUs, models joined by "|"


def typical_mix(requests: Iterable[Request]) -> tuple[MixEntry, ...]:
    """Return the most frequent classes of `requests`, most frequent first; empty for none."""
    counts = class_counts(requests)
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda entry: (entry[1], entry[0]), reverse=True)
    kept: list[tuple[RequestClass, int]] = []
    covered = 0
    for pod_class, count in ranked:
        if 100 * covered >= TYPICAL_PCT * total:
            break
        kept.append((pod_class, count))
        covered += count
    return tuple(
        MixEntry(class_request(pod_class), (count / total) / (covered / total))
        for pod_class, count in kept
    )


def class_counts(requests: Iterable[Request]) -> Counter[RequestClass]:
    """Return how many of `requests` are of each class."""
    return Counter(class_of(request) for request in requests)


def class_of(request: Request) -> RequestClass:
    """Return the class of `request`."""
    cpu_milli = request.resources.get(CPU)
    devices = request.devices
    if devices is None:
        return cpu_milli, 0, 0, ""
    return cpu_milli, devices.milli, devices.count, "|".join(devices.models)


def class_request(pod_class: RequestClass) -> Request:
    """Return a request that stands for its class: no memory, only what the class says."""
    cpu_milli, milli, count, models = pod_class
    devices = None
    if count:
        wanted = tuple(models.split("|")) if models else ()
        devices = DeviceRequest(count=count, milli=milli, models=wanted)
    return Request(resources=Resources(((CPU, cpu_milli),)), devices=devices)
