"""KAI Scheduler's own test cases (v0.17, kai-scheduler/KAI-Scheduler, Apache-2.0).

`read` turns the extracted Go literals into rows, `cluster` a row into our nodes, queues and jobs,
`answers` runs our passes, `expected` compares. Other than with the other projects, agreement is
measured and not required row by row: KAI searches for victims by rules that also have accidental
sides (the order of a map, a bound that is one too many), and we follow the rule.
"""

from verification.oracles.kai.answers import in_rounds, one_action
from verification.oracles.kai.expected import JOBS, NODES, PODS
from verification.oracles.kai.read import HARNESSES, read
from verification.oracles.kai.reasons import REASONS
from verification.oracles.rows import Adapter, Outside, Test

STEM = "kai_cases"
BAR_PCT = 90

_INPUTS = frozenset(
    {
        "Jobs",
        "Nodes",
        "Queues",
        "Departments",
        "DisableDefaultDepartment",
        "Topologies",
        "SchedulerConf",
        "Groups",
        "Rounds",
    }
)
_OUTPUTS = {
    "JobExpectedResults": JOBS,
    "TaskExpectedResults": PODS,
    "ExpectedNodesResources": NODES,
}

KAI = Adapter(
    tests={
        **{(STEM, name): Test(one_action, _INPUTS, _OUTPUTS) for name in HARNESSES},
        (STEM, "rounds"): Test(in_rounds, _INPUTS, _OUTPUTS),
    },
    outside={
        (STEM, "dra"): Outside.DRA,
        (STEM, "numa"): Outside.NUMA,
        (STEM, "compared by code"): Outside.COMPUTED,
    },
    read=read,
    place=f"{STEM}.json.gz",
    bar_pct=BAR_PCT,
    reasons=REASONS,
)
