"""Delays that grow and are capped, and the pairs of request and node that are left alone.

The n-th delay is ``base * 2**(n-1)``, at most ``max``: Kubernetes' Job controller, kube-scheduler's
queue and Kueue's ``requeuingStrategy`` all count so. They add a random part so that many do not
return at once; the core has no chance, and whoever returns is ordered by the queue anyway.

A kubelet may refuse a pod that the scheduler sent to it (``OutOfnvidia.com/gpu``,
``UnexpectedAdmissionError``, ``TopologyAffinityError``: k8s.io/kubernetes v1.36,
pkg/kubelet/lifecycle): its picture of the devices is newer than ours, or broken. The pod is lost,
its owner makes another one, and the scheduler would choose the same node again. So the pair is left
alone for a while, longer each time.
"""

from gpuyard.model.ledger import Quarantine, QuarantineRules
from gpuyard.model.workloads import Request
from gpuyard.scheduling.ledger import Ledger

DOUBLINGS_MAX = 62  # beyond it any base is past any cap, and the power would only cost time


def growing_delay_ns(attempt: int, *, base_ns: int, max_ns: int) -> int:
    """Return the delay after the `attempt`-th failure, counted from 1."""
    return min(base_ns << min(max(attempt, 1) - 1, DOUBLINGS_MAX), max_ns)


def refused(
    ledger: Ledger,
    request: Request,
    node: str,
    *,
    reason: str,
    now_ns: int,
    rules: QuarantineRules,
) -> Quarantine:
    """Return the entry after the kubelet of `node` refused one more pod that asks `request`."""
    before = ledger.get(Quarantine, (request, node))
    is_remembered = before is not None and now_ns < before.remembered_until_ns
    refusals = 1 + (before.refusals if before is not None and is_remembered else 0)
    delay_ns = growing_delay_ns(refusals, base_ns=rules.base_ns, max_ns=rules.max_ns)
    return Quarantine(
        request=request,
        node=node,
        refusals=refusals,
        until_ns=now_ns + delay_ns,
        remembered_until_ns=now_ns + delay_ns + rules.remembered_ns,
        reason=reason,
    )


def quarantined(ledger: Ledger, request: Request, now_ns: int) -> dict[str, Quarantine]:
    """Return the nodes that pods asking for `request` keep away from now, and why."""
    return {
        entry.node: entry
        for entry in ledger.of(Quarantine).values()
        if entry.request == request and now_ns < entry.until_ns
    }
