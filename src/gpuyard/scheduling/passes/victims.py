"""What a scenario means for each of its victims."""

from collections.abc import Iterator, Sequence

from gpuyard.scheduling.passes.jobs import USES, Job, Pod
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.passes.solver import Attempt


def losses_by_job(session: Session, attempt: Attempt) -> Iterator[tuple[Job, list[Pod]]]:
    """Yield each victim and which of its pods were told to go."""
    by_job: dict[str, list[Pod]] = {}
    for bite in attempt.scenario.all():
        by_job.setdefault(bite.job, []).extend(bite.pods)
    for key, pods in by_job.items():
        yield session.jobs[key], pods


def keeps_minimum(victim: Job, pods: Sequence[Pod]) -> bool:
    """Tell whether `victim` can spare `pods`: every leaf keeps what it needs."""
    for leaf in victim.root.leaves():
        lost = sum(pod.leaf == leaf.name for pod in pods)
        there = sum(pod.leaf == leaf.name and pod.state in USES for pod in victim.pods)
        if lost and there - lost < leaf.min_count:
            return False
    return True
