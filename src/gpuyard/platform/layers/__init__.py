"""Pool × layer × who installed it: what makes GPUs usable in a cluster, and where it contradicts.

Between a GPU and a pod stand ten pieces of software: a driver, a container toolkit, a device plugin
and so on (`words.LAYERS`). A cloud brings some of them, invisibly or as DaemonSets; an operator
brings all of them unless told otherwise; and people install the rest from charts and manifests.
None of them looks for the others. Two device plugins on one node hand out GPUs twice, and a layer
that each thought to be the other's business is missing.

`examine` takes the objects of a cluster and answers with a `Diagnosis`. The way of a fact:

- `facts` holds what was listed, and knows what was not;
- `nodes` reads a Node, `clouds` knows whose it is and what its image brings along;
- `signatures` recognises a layer in a DaemonSet or Deployment, `installers` who put it there,
  `versions` in which version, `components` on which nodes it runs and where it wants to;
- `pools` groups nodes, `rows` makes the table, `checks` finds contradictions;
- `report` turns it into text or plain data.

What was not listed is said to be unseen, never taken for missing (DESIGN, law 5).
"""

from gpuyard.platform.layers.diagnosis import Diagnosis, examine
from gpuyard.platform.layers.facts import KINDS, NEEDED, Facts

__all__ = ["KINDS", "NEEDED", "Diagnosis", "Facts", "examine"]
