"""Why rows disagree, by file and line below pkg/scheduler.

A reason is either a fact of ours that the source does not have, or a state of the row that cannot
be. Nothing reads this but the program that prints it, and a test that wants it complete.
"""

REASONS = {
    "actions/allocate/allocateFractionalGpu_test.go:961": (
        "a pod starts at once on a device that is free now, "
        "though another one was promised a part of it"
    ),
    "actions/reclaim/reclaim_test.go:631": (
        "the row's node has four GPUs and pods that hold five; "
        "here a victim gets its own share back"
    ),
}
