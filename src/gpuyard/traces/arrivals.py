"""openb's pods in the order of one experiment.

A sequence names positions in the pod list and repeats some: a clone is a pod of its own, so its
key carries how often its original came before (``openb-pod-0007`` and ``openb-pod-0007+1``).
Without times the position in the sequence stands for the instant of arrival.
"""

from collections import Counter
from collections.abc import Sequence as Listed

from gpuyard.model.workloads import PodSet, PodTemplate, Request, Workload
from gpuyard.traces.openb import OpenbPod, Sequence


def in_sequence(pods: Listed[OpenbPod], sequence: Sequence) -> tuple[Workload, ...]:
    """Return the pods of `sequence` as workloads of one pod, in its order."""
    seen: Counter[int] = Counter()
    pod_sets: dict[Request, tuple[PodSet, ...]] = {}
    arrivals = []
    for instant, position in enumerate(sequence.pods):
        pod = pods[position]
        if pod.request not in pod_sets:
            template = PodTemplate(request=pod.request)
            pod_sets[pod.request] = (PodSet(name="pod", count=1, template=template),)
        copies = seen[position]
        seen[position] += 1
        key = f"{pod.name}+{copies}" if copies else pod.name
        arrivals.append(Workload(key=key, pod_sets=pod_sets[pod.request], created_ns=instant))
    return tuple(arrivals)
