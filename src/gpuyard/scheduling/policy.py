"""A policy: everything that tells one way of deciding from another, as one struct of data.

`placement` says where pods go, `queueing` how those who wait take turns, `commitments` how long a
start may take. There are four ways to take turns, and what the struct is says which:

- `QueuePolicy`: queues with quota, in rounds, as in Kueue (`queue_cycle`);
- `PassKnobs`: passes over what queues deserve, as in KAI (`passes`);
- `LeastAttained`: at every round it is decided anew who runs, as in Tiresias (`rounds`);
- `None`: by priority and age, without queues, as in kube-scheduler (`cycle`).

A policy holds no callables and no code reads its name: two policies with the same values decide the
same. The presets are public values in `gpuyard.scheduling.presets`. The knobs of a rule stand
beside the rule (decision 9); here they come together.
"""

import msgspec

from gpuyard.model.commitments import CommitmentRules
from gpuyard.model.policy import PlacementPolicy
from gpuyard.model.rounds import LeastAttained
from gpuyard.scheduling.passes.knobs import PassKnobs
from gpuyard.scheduling.queue_policy import QueuePolicy


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Where pods go, who is next, and how long a start may take."""

    placement: PlacementPolicy
    queueing: QueuePolicy | PassKnobs | LeastAttained | None = None
    commitments: CommitmentRules = CommitmentRules()
