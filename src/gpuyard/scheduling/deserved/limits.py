"""What no queue may exceed, however empty the cluster is.

Two bounds, at the queue and at every ancestor: nobody holds more than the *limit*, and what cannot
be preempted stays within what is *deserved*, because it could never be given back. Only resources
that are asked for are looked at.

Semantics: KAI Scheduler v0.17, plugins/proportion/capacity_policy.
"""

from gpuyard.model.reasons import Constraint
from gpuyard.scheduling.deserved.shares import Amounts, Share


def over_limit(share: Share, asked: Amounts) -> Constraint | None:
    """Return the first limit that `asked` would exceed, from the queue upwards; `None` if none."""
    for step in share.to_root():
        for resource, amount in asked.items():
            limit = step.quotas[resource].limit
            if amount and limit < step.allocated[resource] + amount:
                return _bound("limit", step, resource, amount, limit - step.allocated[resource])
    return None


def over_deserved(share: Share, asked: Amounts) -> Constraint | None:
    """Return the first deserved amount that `asked`, not preemptible, would exceed."""
    for step in share.to_root():
        for resource, amount in asked.items():
            deserved = step.quotas[resource].deserved
            if amount and deserved < step.fixed[resource] + amount:
                return _bound("deserved", step, resource, amount, deserved - step.fixed[resource])
    return None


def over(share: Share, asked: Amounts, *, preemptible: bool) -> Constraint | None:
    """Return what keeps a job that asks for `asked` out of its queue now; `None` if nothing."""
    return over_limit(share, asked) or (None if preemptible else over_deserved(share, asked))


def _bound(kind: str, share: Share, resource: str, needed: int, have: int) -> Constraint:
    return Constraint(name=f"{kind} {resource}", needed=needed, have=have, where=share.name)
