"""Weeks of a demo made by hand: the figures are chosen, nothing was lived through."""

from gpuyard.studies.demo.findings import Findings
from gpuyard.studies.demo.story import Scene, Story
from gpuyard.studies.demo.teams import CONTENDERS as TEAM_CONTENDERS, TeamDays
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


def team_days(
    useful=1000.0, lost=10.0, evictions=3, mean_s=3600.0, **by_name
) -> tuple[TeamDays, ...]:
    """Return three days of every contender; `by_name` gives useful GPU-hours of some."""
    return tuple(
        TeamDays(
            contender=one.name,
            gpus=16,
            days=3.0,
            workloads=10,
            waits={"batch": wait(mean_s), "training": wait(mean_s)},
            wait=wait(mean_s),
            useful_gpu_h=by_name.get(one.role, useful),
            lost_gpu_h=lost,
            evictions=evictions,
            startable_pods=1.0,
        )
        for one in TEAM_CONTENDERS
    )


def story(**changes) -> Story:
    """Return a story in which a gang makes way, and comes back."""
    facts = {
        "policy": "gpuyard",
        "fleet": "5x4xL40S",
        "gpus": 20,
        "grace_s": 30.0,
        "evicted": ("research/sweep",),
        "gone_after_s": 30.0,
        "ready_after_s": 61.0,
        "back_after_s": 18_062.0,
        "ended_s": 55_352.0,
        "lost_gpu_h": 2.9,
        "scenes": (Scene(at_s=22_800.0, words="Deployment chat grows from 4 replicas to 12."),),
        "instants_s": (0.0, 86_400.0),
        "held": {"research/sweep": (8, 0)},
    }
    return Story(**{**facts, **changes})
