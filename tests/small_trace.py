"""Small traces in both forms, written by the tests that replay them.

The same fleet twice: two nodes with eight H100 and one with eight L4. Ours has gangs, shares, an
endless service and times; openb's has single pods in an order that its sequences change.
"""

import gzip
import json
from pathlib import Path

OWN_NODES = """\
name,count,cpu_milli,memory_mib,gpus,gpu_model
train,2,96000,1048576,8,H100
small,1,48000,393216,8,L4
"""

# The second gang of two nodes waits for the first; the service never ends.
OWN_PODS = """\
workload,count,cpu_milli,memory_mib,gpus,gpu_milli,gpu_models,arrival_s,runtime_s,class
first,2,32000,65536,8,,H100,0,3600,training
ann,1,4000,8192,1,500,L4,10,600,notebook
bob,1,4000,8192,1,500,L4,20,600,notebook
serve,4,4000,8192,1,,L4,30,,inference
second,2,32000,65536,8,,H100,60,3600,training
"""

OPENB_NODES = """\
sn,cpu_milli,memory_mib,gpu,model
n1,96000,393216,4,T4
n2,96000,393216,4,T4
n3,64000,262144,2,P100
"""

OPENB_HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
    "creation_time,deletion_time,scheduled_time\n"
)
OPENB_PODS = OPENB_HEADER + "".join(
    f"p{index},{cpu_milli},4096,{gpus},{milli},{model},{qos},Running,"
    f"{index * 10},{index * 10 + 300},{index * 10}\n"
    for index, (cpu_milli, gpus, milli, model, qos) in enumerate(
        [
            (4000, 1, 500, "", "LS"),
            (8000, 2, 1000, "T4", "BE"),
            (4000, 1, 250, "", "LS"),
            (16000, 4, 1000, "", "BE"),
            (2000, 0, 0, "", "BE"),
            (4000, 1, 700, "P100", "LS"),
            (8000, 1, 1000, "", "BE"),
            (4000, 1, 400, "T4|P100", "LS"),
        ]
    )
)

SEQUENCES = {
    "7": {"pods": [3, 1, 0, 2, 6, 5, 7, 4, 3], "node_rank": [2, 0, 1]},
    "42": {"pods": [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 3], "node_rank": [0, 1, 2]},
}


def write_own(folder: Path) -> tuple[str, ...]:
    """Write our own form into `folder`; return the options that name it from there."""
    (folder / "nodes.csv").write_text(OWN_NODES)
    (folder / "pods.csv").write_text(OWN_PODS)
    return ("--nodes", "nodes.csv", "--pods", "pods.csv")


def write_openb(folder: Path, *, compressed: bool = False) -> tuple[str, ...]:
    """Write openb's form and its sequences; return the options that name nodes and pods."""
    for name, text in (("openb-nodes.csv", OPENB_NODES), ("openb-pods.csv", OPENB_PODS)):
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / name).write_text(text)
    (folder / "sequences.json").write_text(json.dumps(SEQUENCES))
    end = ".gz" if compressed else ""
    return ("--nodes", f"openb-nodes.csv{end}", "--pods", f"openb-pods.csv{end}")
