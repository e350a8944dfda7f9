"""Other projects' published test cases, asked of gpuyard's own core.

A *row* is one case of another project's table test: inputs and what its authors expect. An
*adapter* per project builds a `Snapshot` from a row and asks the rules that placement itself uses.
The runner keeps it honest:

- every field of a row is known to be input or expectation, else the row is an error;
- every expectation is removed before the adapter sees the row;
- each single value of each expectation that was compared is then altered, and the comparison must
  fail every time: a comparison that cannot fail proves nothing;
- a row is out of scope only for a reason on a closed list (`rows.Outside`), and at most
  `rows.OUTSIDE_MAX_PCT` of a file may be.

    python -m verification.oracles kube-scheduler $GPUYARD_DATA/oracles/kube_scheduler
"""
