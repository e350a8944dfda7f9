"""How queues are served: what `queue_cycle` can be told, as data."""

import msgspec

from gpuyard.model.caps import UsageCap
from gpuyard.model.ledger import EvictionRules
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.preemption.cheapest.consolidate import ConsolidationRules

FIRST_LOOK_NS = 60 * 10**9  # whether evictions have become cheap enough; then when twice as old


class QueuePolicy(msgspec.Struct, frozen=True, kw_only=True, tag="queues"):
    """How queues are served.

    `keeps_domains`: pods stand where admission put them, whether they asked or not.
    `exact_limit_s`: how long to look for the places of a gang of several shapes with a solver,
    where placing one pod after the other found none; 0: not at all. `hold_ns`: how
    long what victims free is kept for whom they left; 0: anybody may take it, as in Kueue, where
    only the order of the queues protects it. `evictions` of `None` bounds no evictions. `caps`
    bound users, queues and device models beside quota; a flavor's device model is the label
    ``nvidia.com/gpu.product`` of its nodes, else its name. `moves`: who may be moved for a workload
    that waits, and when that is worth it; `None`: nobody is.
    """

    rules: AdmissionRules = AdmissionRules()
    rounds_per_cycle: int = 1
    keeps_domains: bool = True
    exact_limit_s: float = 0.0
    hold_ns: int = 0
    evictions: EvictionRules | None = None
    caps: tuple[UsageCap, ...] = ()
    moves: ConsolidationRules | None = None

    def __post_init__(self) -> None:
        """Refuse moves whose new places anybody could take."""
        if self.moves is not None and not self.hold_ns:
            raise ValueError("moves without hold_ns: say how long places are kept for movers")


def ripe_after_ns(policy: QueuePolicy) -> tuple[int, ...]:
    """Return how old a waiting workload is when it may do what it might not before.

    Whoever runs the passes wakes it then (`Waiting.wake_one`), for nothing else may happen.
    """
    rules = policy.rules
    ages = {rules.preempt_after_ns}
    if policy.moves is not None:
        ages.add(policy.moves.after_ns)
    if rules.preempt_when_waited_pct:
        ages.add(rules.preempt_not_before_ns)
        age_ns = FIRST_LOOK_NS
        while age_ns < rules.preempt_after_ns:
            ages.add(age_ns)
            age_ns *= 2
    return tuple(sorted(ages - {0}))
