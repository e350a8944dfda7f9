"""Why rows disagree, by file, line and index below pkg/scheduler.

Two are on purpose: nobody is evicted for a gang that cannot start, and priority decides about what
queues do not deserve. One is a state that cannot be. The others are ways of ours that Volcano shows
to be coarse. Nothing reads this but the program that prints it, and a test that wants it complete.
"""

FOR_NOTHING = "nobody is evicted for a gang that could not start all the same"
BY_PRIORITY = (
    "what queues do not deserve goes to those of higher priority first, not by weight alone"
)
VICTIMS_BY_JOB = (
    "victims come in the order of queues and jobs, not of nodes: "
    "the one on the node that is wanted is not tried alone"
)
PODS_ALIKE = "the pods of a group count as alike: one that fits nowhere is not passed over"
GONE_NODE = "its pods run on nodes that do not exist: there is nothing to book them on"

REASONS = {
    "actions/allocate/allocate_test.go:84#0": PODS_ALIKE,
    "actions/allocate/allocate_test.go:368#22": GONE_NODE,
    "actions/preempt/preempt_shard_test.go:88#0": VICTIMS_BY_JOB,
    "actions/preempt/preempt_shard_test.go:88#1": VICTIMS_BY_JOB,
    "actions/reclaim/reclaim_shard_test.go:96#0": VICTIMS_BY_JOB,
    "actions/reclaim/reclaim_shard_test.go:96#1": VICTIMS_BY_JOB,
    "actions/reclaim/reclaim_test.go:48#2": BY_PRIORITY,
    "actions/reclaim/reclaim_test.go:48#6": BY_PRIORITY,
    "actions/reclaim/reclaim_test.go:48#7": FOR_NOTHING,
}
