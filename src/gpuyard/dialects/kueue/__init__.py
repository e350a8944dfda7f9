"""Kueue's objects as the model sees them.

One function per kind, each from one object to one struct: `resource_flavor`, `cluster_queue`,
`cohort`, `local_queue`, `topology`, `workload` (what it asks for), `is_waiting` (whether it still
does), `admission` (the quota it holds) and `admitted` (both). An object comes as JSON, as a decoded
mapping, or as one of the structs in `objects`. Versions v1beta1 and v1beta2 are both read; where
the older one has another word, it is translated: ``cohort`` is ``cohortName``, the fungibility
policies ``Borrow`` and ``Preempt`` are ``MayStopSearch``.

What the API leaves to defaults is filled in. What is contradictory but can be read (a negative
quota, a flavor that nobody defined) passes: it is refused where the quota tree is built, with all
objects in view.

Semantics: Kueue v0.19.2: apis/kueue/v1beta1 and v1beta2, pkg/workload/workload.go,
pkg/resources/amount.go.

An object that cannot be read raises `DialectError`, one sentence that names the object and field.
"""

from gpuyard.dialects.kueue.queues import cluster_queue, cohort, local_queue, resource_flavor
from gpuyard.dialects.kueue.topology import topology
from gpuyard.dialects.kueue.workloads import admission, admitted, is_waiting, workload
from gpuyard.dialects.wire import DialectError

__all__ = [
    "DialectError",
    "admission",
    "admitted",
    "cluster_queue",
    "cohort",
    "is_waiting",
    "local_queue",
    "resource_flavor",
    "topology",
    "workload",
]
