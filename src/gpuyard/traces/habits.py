"""What people ask of a GPU cluster, as numbers: the tables behind `gpuyard.traces.generate`.

Each table says where it comes from. *Acme* is the summary table of five clusters in Hu et al.,
"Characterization of Large Language Model Development in the Datacenter", NSDI'24: mean GPUs per job
1.93 in Philly, 3.72 in Helios, 26.8 in Kalos; mean run time of a GPU job 18,006 s in Philly.
*openb* is the default list of Alibaba's gpu-v2023 trace; its figures were counted in the rows.
*ServeGen* is the arrival rate of Alibaba's small language models over 14 days. What none of them
says is marked *assumption*.

A week begins on Monday at 00:00.
"""

import math
from typing import Literal

import msgspec

from gpuyard.model.workloads import WorkloadClass

Role = Literal["training", "small", "only"]

HOUR_S = 3600
DAY_S = 24 * HOUR_S
WEEK_DAYS = 7
WEEK_HOURS = 168
WORKDAYS = 5  # from Monday

# --- Who uses the GPU-hours: assumption ---------------------------------------------------------
# "training": a pool of NVLink servers, "small": any other, "only": the only pool of a fleet.
# In the demo's fleet this makes 41 % training, 23 % inference, 20 % fine-tuning, 11 % batch and 5 %
# notebooks. The order is that in which classes take their share: coarse ones first, so that what
# a large gang leaves over goes to smaller ones, and batch fills the rest exactly.
SHARES: dict[Role, tuple[tuple[WorkloadClass, float], ...]] = {
    "training": (
        ("training", 0.55),
        ("inference", 0.15),
        ("fine-tuning", 0.22),
        ("batch", 0.08),
    ),
    "small": (
        ("inference", 0.50),
        ("fine-tuning", 0.10),
        ("notebook", 0.20),
        ("batch", 0.20),
    ),
    "only": (
        ("training", 0.40),
        ("inference", 0.22),
        ("fine-tuning", 0.20),
        ("notebook", 0.06),
        ("batch", 0.12),
    ),
}

# --- How many GPUs ------------------------------------------------------------------------------
# Whole nodes of a training gang; with 8 GPUs a node the mean is 27.4 GPUs, Kalos has 26.8 (Acme).
GANG_NODES = ((2, 0.65), (4, 0.23), (8, 0.09), (16, 0.03))
# GPUs of the one pod; the mean of the first is 3.69, Helios has 3.72, of the second 1.93, as
# in Philly (Acme). How they spread is an assumption.
FINE_TUNING_GPUS = ((1, 0.33), (2, 0.20), (4, 0.20), (8, 0.27))
BATCH_GPUS = ((1, 0.73), (2, 0.12), (4, 0.06), (8, 0.09))
# GPUs of one replica (its tensor parallelism) and replicas at night: assumption.
REPLICA_GPUS: dict[Role, tuple[tuple[int, float], ...]] = {
    "training": ((1, 0.40), (2, 0.25), (4, 0.20), (8, 0.15)),
    "small": ((1, 0.80), (2, 0.15), (4, 0.05)),
    "only": ((1, 0.60), (2, 0.20), (4, 0.15), (8, 0.05)),
}
NIGHT_REPLICAS = ((1, 0.40), (2, 0.30), (3, 0.20), (4, 0.10))
# The part of its class's share that one service may take at most: assumption.
SERVICE_SHARE_MAX = 0.25
# A notebook gets a quarter or half of one GPU: assumption.
NOTEBOOK_MILLI = ((250, 0.60), (500, 0.40))

# --- How long -----------------------------------------------------------------------------------


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A lognormal run time: its median in seconds, the deviation of its logarithm, bounds."""

    median_s: float
    sigma: float
    min_s: int = 30
    max_s: int


RUNTIMES: dict[WorkloadClass, Runtime] = {
    # Assumption: hours to days between two failures or changes of mind, cut by a queue limit.
    "training": Runtime(median_s=4 * HOUR_S, sigma=1.2, min_s=300, max_s=72 * HOUR_S),
    # Mean 18,006 s before the cap, as in Philly (Acme); sigma is an assumption.
    "fine-tuning": Runtime(median_s=18_006 / math.exp(1.5**2 / 2), sigma=1.5, max_s=48 * HOUR_S),
    # openb, 7,255 scheduled pods: median 616 s, 90 % within 7,764 s: sigma = ln(7764/616)/1.2816.
    "batch": Runtime(median_s=616, sigma=1.98, max_s=48 * HOUR_S),
    # Assumption: a morning's or an afternoon's work, culled at night.
    "notebook": Runtime(median_s=3 * HOUR_S, sigma=0.8, min_s=300, max_s=12 * HOUR_S),
}
LONGEST_S = max(runtime.max_s for runtime in RUNTIMES.values())

# --- When ---------------------------------------------------------------------------------------
# ServeGen: by hour of the day the busiest has 2.2 times the rate of the quietest.
DAY_TO_NIGHT = 2.2
MORNING_H = (8.0, 11.0)  # extra replicas arrive within these hours: assumption
EVENING_H = (20.0, 23.0)  # and leave within these: assumption
OFFICE_H = range(9, 19)  # assumption
WEEKEND_EXTRAS = 0.5  # of the extra replicas on Saturday and Sunday: assumption


def submissions(hour: int) -> float:
    """Return the rate of job submissions in an hour of the week, 1 at its largest: assumption.

    A cosine with its top at 15:00 and a third of that at 03:00; 60 % of it at weekends. Helios
    (Hu et al., SC'21) and Philly (Jeon et al., ATC'19) both show days and weeks, not these figures.
    """
    daily = (1 + 0.5 * math.cos(2 * math.pi * (hour % 24 - 15) / 24)) / 1.5
    return daily * (1.0 if is_workday(hour) else 0.6)


def office_hours(hour: int) -> float:
    """Return the rate of opened notebooks in an hour of the week, 1 at its largest: assumption."""
    return 1.0 if is_workday(hour) and hour % 24 in OFFICE_H else 0.05


def is_workday(hour: int) -> bool:
    """Tell whether an hour of the week lies between Monday and Friday."""
    return hour // 24 < WORKDAYS


RATES: dict[WorkloadClass, tuple[float, ...]] = {
    "training": tuple(submissions(hour) for hour in range(WEEK_HOURS)),
    "fine-tuning": tuple(submissions(hour) for hour in range(WEEK_HOURS)),
    "batch": tuple(submissions(hour) for hour in range(WEEK_HOURS)),
    "notebook": tuple(office_hours(hour) for hour in range(WEEK_HOURS)),
}

# --- CPU and memory beside the GPUs -------------------------------------------------------------
# This is what makes idle GPUs unreachable. openb: the most frequent pairs of cpu_milli and
# memory_mib with the number of pods that ask for them, read as parts of what a G2 node (96 cores,
# 384 GiB, 8 GPUs) has per GPU, and applied to what our node has per GPU.
Ask = tuple[int, int, int]  # cpu_milli, memory_mib, pods

G2_SHARE: tuple[int, int] = (12_000, 49_152)  # per GPU
WHOLE_GPU_ASKS: tuple[Ask, ...] = (
    (11_300, 49_152, 857),
    (11_400, 48_128, 534),
    (3_152, 5_600, 470),
    (18_708, 64_512, 255),
    (9_810, 41_560, 195),
    (12_000, 24_576, 158),
    (15_700, 58_368, 158),
    (11_908, 47_104, 153),
)
SHARED_GPU_ASKS: tuple[Ask, ...] = (
    (3_152, 5_600, 1_122),
    (11_908, 47_104, 625),
    (8_000, 30_517, 486),
    (4_000, 22_888, 189),
    (4_000, 15_258, 182),
    (4_152, 10_600, 152),
    (4_000, 30_517, 136),
    (6_000, 6_144, 51),
)
CPU_ONLY_ASKS: tuple[Ask, ...] = (
    (12_500, 57_344, 364),
    (32_000, 49_152, 284),
    (8_000, 30_517, 163),
    (15_400, 51_200, 120),
    (16_500, 51_200, 95),
)
CPU_ONLY_PART = 1_088 / 8_152  # of the pods: data preparation beside the GPU jobs
# openb's pods with all eight GPUs of a node, per GPU: (88,000; 327,680) and (64,200; 263,168).
WHOLE_NODE_ASKS: tuple[Ask, ...] = ((11_000, 40_960, 18), (8_025, 32_896, 18))
# The first of these is 92 % of the cores of a G2 node; no pod asks for more of one: assumption,
# so that what runs on every node has room.
NODE_PART_MAX = 0.92
FLEXIBLE_PART = (
    0.5  # of fine-tuning that takes any training GPU, of batch that takes any: assumption
)

# --- Who, and how urgent: assumption ------------------------------------------------------------
USERS = 40  # the i-th of them sends in proportion to 1/i
TEAMS = 8  # the queues; user i belongs to team i modulo TEAMS
PRIORITIES: dict[WorkloadClass, int] = {"inference": 100, "notebook": 50}
