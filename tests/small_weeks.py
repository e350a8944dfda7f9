"""Weeks of a demo made by hand: the figures are chosen, nothing was lived through."""

from gpuyard.studies.demo.findings import Findings
from gpuyard.studies.demo.weeks import CONTENDERS, Scenario, Wait, Week

DEFAULT, WHOLE, OURS = CONTENDERS


def wait(mean_s: float, workloads: int = 10, never: int = 0) -> Wait:
    """Return waits whose median and 95th percentile follow from the mean."""
    return Wait(
        workloads=workloads,
        mean_s=mean_s,
        p50_s=mean_s / 2,
        p95_s=mean_s * 4,
        never_started=never,
    )


def week(contender, seed=1, load=0.9, useful=1000.0, waits=None, gang=2.0, held=0.0) -> Week:
    """Return a week of four hours on 16 GPUs."""
    return Week(
        contender=contender.name,
        load=load,
        seed=seed,
        gpus=16,
        workloads=10,
        useful_gpu_h=useful,
        held_gpu_h=held,
        given_up=0,
        usd=useful * 2,
        waits={kind: wait(mean_s) for kind, mean_s in (waits or {"training": 60.0}).items()},
        wait=wait(60.0),
        allocated=[10.0, 12.0, 14.0, 16.0],
        useful=[10.0, 11.0, 12.0, 13.0],
        held=[0.0, 1.0, 2.0, 3.0],
        fragment=[1.0, 1.0, 1.0, 1.0],
        unreachable=[0.0, 0.0, 0.0, 0.0],
        gang=[gang, gang, gang, gang],
    )


def findings(*weeks: Week, loads=(0.9,), seeds=(1,), main_load=0.9) -> Findings:
    """Return the weeks of a scenario of four hours, in any order."""
    scenario = Scenario(
        fleet="2x8xH100", days=4 / 24, loads=loads, main_load=main_load, seeds=seeds
    )
    return Findings(scenario=scenario, weeks=weeks)


def constant(default=1000.0, whole=1000.0, ours=1000.0, load=0.9, **same) -> tuple[Week, ...]:
    """Return one week of each contender at one load, with these useful GPU-hours."""
    useful = zip(CONTENDERS, (default, whole, ours), strict=True)
    return tuple(week(one, load=load, useful=hours, **same) for one, hours in useful)
