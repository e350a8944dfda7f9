"""Which jobs a pass goes through.

Semantics: KAI Scheduler v0.17, actions/utils/input_jobs.go and common/minimal_job_comparison.go.
"""

from collections.abc import Sequence

from gpuyard.scheduling.deserved.runtimes import may_evict
from gpuyard.scheduling.deserved.shares import Amounts
from gpuyard.scheduling.passes.jobs import Job, Pod, View
from gpuyard.scheduling.passes.session import Session


def pending_views(session: Session) -> list[View]:
    """Return the jobs that have pending pods, and pods enough to start."""
    views = [job.view() for job in session.jobs.values()]
    return [
        view
        for view in views
        if any(pod.state == "pending" for pod in view.pods) and view.is_ready()
    ]


def may_make_others_go(session: Session, job: Job) -> bool:
    """Tell whether the preemption delay of a pending job has passed."""
    return may_evict(job.created_ns, job.preemption_delay_ns, session.now_ns, job.evicted_ns)


class Failures:
    """Jobs that could not be started, to spare the search for those that are no easier.

    Jobs are compared where they ask for the same constraints. A job is easier when it has fewer
    pods, or its smallest pods are smaller.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._smallest: dict[object, list[Pod]] = {}

    def is_easier(self, job: Job) -> bool:
        """Tell whether it is worth trying `job`."""
        failed = self._smallest.get(_constraints(job))
        pods = _by_size(job)
        if failed is None or len(pods) < len(failed):
            return True
        for mine, other in zip(pods, failed, strict=False):
            if mine.amounts != other.amounts:
                return _within(mine.amounts, other.amounts)
        return False

    def add(self, job: Job) -> None:
        """Remember that `job` could not be started."""
        key, pods = _constraints(job), _by_size(job)
        failed = self._smallest.get(key)
        if failed is None or (
            len(pods) <= len(failed)
            and all(
                _within(mine.amounts, other.amounts)
                for mine, other in zip(pods, failed, strict=False)
            )
        ):
            self._smallest[key] = pods


def _constraints(job: Job) -> object:
    pods: Sequence[Pod] = [pod for pod in job.pods if pod.state == "pending"]
    return (
        job.root.domain,
        frozenset((leaf.domain, leaf.min_count) for leaf in job.root.leaves()),
        frozenset(pod.template.constraints for pod in pods),
    )


def _by_size(job: Job) -> list[Pod]:
    pods = [pod for pod in job.pods if pod.state == "pending"]
    return sorted(pods, key=lambda pod: tuple(pod.amounts[name] for name in sorted(pod.amounts)))


def _within(left: Amounts, right: Amounts) -> bool:
    return all(amount <= right[name] for name, amount in left.items())
