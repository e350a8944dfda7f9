"""A fleet that teams share through queues: workloads wait for quota, run, are evicted, come back.

`setting` is everything but the policy, `life` lives through it, `job` is one workload on its way,
`outcomes` is what was measured.
"""

from gpuyard.twin.shared_fleet.life import run
from gpuyard.twin.shared_fleet.outcomes import Outcome, SharedRun, Stay
from gpuyard.twin.shared_fleet.setting import FleetWorld, Habit, SharedFleet

__all__ = ["FleetWorld", "Habit", "Outcome", "SharedFleet", "SharedRun", "Stay", "run"]
