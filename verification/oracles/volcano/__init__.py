"""Volcano's own test cases (v1.16.0-alpha.1, volcano-sh/volcano, Apache-2.0).

`read` turns the extracted Go literals into rows, `objects` their builders into Kubernetes objects
and a few facts, `cluster` a row into our session, `answers` runs our passes, `enqueue` our queues,
`expected` compares. Agreement is measured and not required: Volcano decides pod by pod where we
decide gang by gang, and `reasons` says of each row that disagrees why.
"""

from verification.oracles.rows import Adapter, Outside, Test
from verification.oracles.volcano import read
from verification.oracles.volcano.answers import one_session
from verification.oracles.volcano.enqueue import one_cycle
from verification.oracles.volcano.expected import BINDS, COUNT, COUNTS, PHASES, PLACES, PODS
from verification.oracles.volcano.reasons import REASONS

STEM = "volcano_cases_ast"

_INPUTS = frozenset(
    {
        "Actions",
        "HyperNodes",
        "HyperNodesSetByTier",
        "HyperNodesTierNameMap",
        "KeepsGangs",
        "MinimalBindCheck",
        "Nodes",
        "NodesInShard",
        "Pods",
        "PodGroups",
        "PriClass",
        "Queues",
        "Scores",
        "ShardName",
        "ShardingMode",
    }
)
_OUTPUTS = {
    "ExpectBindMap": BINDS,
    "ExpectBindsNum": COUNT,
    "ExpectBindNumsInHyperNode": COUNTS,
    "ExpectEvicted": PODS,
    "ExpectEvictNum": COUNT,
    "ExpectPipeLined": PLACES,
    "ExpectStatus": PHASES,
}
_SESSIONS = ("allocate", "backfill", "preempt", "reclaim", "allocate and preempt")

VOLCANO = Adapter(
    tests={
        **{(STEM, name): Test(one_session, _INPUTS, _OUTPUTS) for name in _SESSIONS},
        (STEM, "enqueue"): Test(one_cycle, _INPUTS, _OUTPUTS),
    },
    outside={
        (STEM, "dra"): Outside.DRA,
        (STEM, "compared by code"): Outside.COMPUTED,
        (STEM, "unresolved"): Outside.UNRESOLVED,
    },
    read=read.read,
    place=f"{STEM}.json.gz",
    bar_pct=0,
    outside_max_pct=52,
    reasons=REASONS,
)
