"""Run our passes over a row, and say what became of its pods in the source's words.

A bind is a pod that starts at once; evicted is who ran before and is told to go, also where it was
promised another place; pipelined is who waits for them at its node.
"""

from collections import Counter
from collections.abc import Mapping

from gpuyard.scheduling.passes import table
from verification.oracles.rows import Answers, Json, Row
from verification.oracles.volcano import objects
from verification.oracles.volcano.cluster import session_of


def one_session(row: Row) -> Answers:
    """Answer a row of one session."""
    session = session_of(row.case)
    pods = [pod for job in session.jobs.values() for pod in job.pods]
    ran = {pod.key for pod in pods if pod.state == "running"}
    table.run(session)
    binds = {pod.key: pod.node for pod in pods if pod.state == "allocated"}
    evicted = sorted(pod.key for pod in pods if pod.key in ran and pod.state != "running")
    pipelined: dict[str, set[str]] = {}
    for pod in pods:
        if pod.state == "pipelined" and pod.key not in ran:
            pipelined.setdefault(pod.job, set()).add(pod.node)
    return {
        "ExpectBindMap": binds,
        "ExpectBindsNum": len(binds),
        "ExpectBindNumsInHyperNode": _by_hypernode(row.case, binds),
        "ExpectEvicted": evicted,
        "ExpectEvictNum": len(evicted),
        "ExpectPipeLined": pipelined,
    }


def _by_hypernode(case: Mapping[str, Json], binds: Mapping[str, str]) -> list[int]:
    """Return how many pods were bound in each of the narrowest hypernodes, in ascending order."""
    tiers = list(objects.tiers_of(case).values())
    if not tiers:
        return []
    home = {node: hypernode for hypernode, nodes in tiers[-1].items() for node in nodes}
    return sorted(Counter(home[node] for node in binds.values()).values())
