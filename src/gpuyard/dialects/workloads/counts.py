"""How many pods a template makes, as the controllers of each kind count them.

Sources: batch/v1 Job: k8s.io/api 1.37 batch/v1/types.go (``completions`` caps ``parallelism``).
RayCluster: kuberay v1.7, GetWorkerGroupDesiredReplicas in controllers/ray/utils/util.go.
"""

from collections.abc import Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path


def number(value: object, *path: str | int, default: int | None) -> int | None:
    """Return the count at `path`, `default` where the field is missing or null.

    `None` where something else than a whole number stands there; what is negative counts as 0.
    """
    if plain.get(value, *path) is None:
        return default
    found = plain.whole(value, *path)
    return None if found is None else max(0, found)


def times(*factors: int | None) -> int | None:
    """Return the product, 0 if any factor is 0, `None` if any other is not known."""
    product = 1
    is_known = True
    for factor in factors:
        if factor == 0:
            return 0
        if factor is None:
            is_known = False
        else:
            product *= factor
    return product if is_known else None


def total(counts: "list[int | None]") -> int | None:
    """Return the sum, `None` if any part is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def at_once(job: Mapping[str, object]) -> int | None:
    """Return how many pods a JobSpec runs at once: no more than are to finish."""
    parallelism = number(job, "parallelism", default=1)
    completions = number(job, "completions", default=parallelism)
    if parallelism is None or completions is None:
        return None
    return min(parallelism, completions)


def ray_workers(group: Mapping[str, object]) -> int | None:
    """Return how many pods a worker group of a RayCluster makes."""
    if plain.is_true(group, "suspend"):
        return 0
    fewest = number(group, "minReplicas", default=0)
    most = number(group, "maxReplicas", default=2**31 - 1)
    replicas = number(group, "replicas", default=fewest)
    if fewest is None or most is None or replicas is None:
        return None
    hosts = number(group, "numOfHosts", default=1)
    return times(fewest if replicas < fewest else min(replicas, most), hosts)


def ray_fewest(group: Mapping[str, object]) -> int | None:
    """Return the fewest pods to which the autoscaler may shrink a worker group."""
    return times(number(group, "minReplicas", default=0), number(group, "numOfHosts", default=1))


def leader_worker(spec: Mapping[str, object]) -> tuple[int | None, int | None]:
    """Return how many groups a LeaderWorkerSet makes, and how many pods are in each."""
    return (
        number(spec, "replicas", default=1),
        number(spec, "leaderWorkerTemplate", "size", default=1),
    )


def one_less(size: int | None) -> int | None:
    """Return the pods of a group beside its leader."""
    return None if size is None else max(0, size - 1)


def below(value: object, path: Path) -> Mapping[str, object]:
    """Return the mapping at `path`, an empty one where there is none."""
    return plain.mapping(value, *path)
