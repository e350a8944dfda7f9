"""Teams and the story in the demo's report: sentences say what was lived, also where we lose."""

import msgspec
import pytest

from gpuyard.scheduling.presets import PRESETS
from gpuyard.studies.demo import story as told_story, teams
from gpuyard.studies.demo.page import page
from gpuyard.studies.demo.sharing import clock, sentences
from gpuyard.studies.demo.weeks import Scenario
from gpuyard.twin.page import render
from tests.small_weeks import constant, findings, story, team_days, wait


def words(sentence):
    text = "".join(each if isinstance(each, str) else each.text for each in sentence.words)
    return text.replace("\u00a0", " ")


def slower(days, name, **waits):
    """Return the days with other waits of one contender."""
    return tuple(
        msgspec.structs.replace(one, waits={**one.waits, **waits}) if one.contender == name else one
        for one in days
    )


def test_what_teams_gain_is_said():
    (sentence,) = sentences(team_days(ours=1250.0), None)
    assert words(sentence).startswith("Where teams share 16 GPUs, gpuyard does 250 more GPU-hours")
    assert "Longer than under Kueue: no class." in sentence.note


def test_what_teams_lose_is_said():
    (sentence,) = sentences(slower(team_days(ours=900.0), "gpuyard", batch=wait(7200.0)), None)
    assert "gpuyard does 100 fewer GPU-hours" in words(sentence)
    assert "Longer than under Kueue: batch by 1\u00a0h." in sentence.note


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {}, "research/sweep leaves whole after 30 s, eight replicas are ready", id="whole"
        ),
        pytest.param({"ready_after_s": None}, "not all of them ever start", id="never ready"),
        pytest.param({"gone_after_s": None}, "not all of them ever start", id="nobody left"),
    ],
)
def test_the_story_in_a_sentence(changes, said):
    (sentence,) = sentences((), story(**changes))
    assert said in words(sentence)


def test_who_never_comes_back_is_said():
    (sentence,) = sentences((), story(back_after_s=None))
    assert sentence.note.endswith("It never comes back.")


def test_no_link_of_the_page_leads_nowhere():
    found = msgspec.structs.replace(findings(*constant()), teams=team_days(), story=story())
    text = render(page(found, command="gpuyard demo", version="gpuyard 0"))
    assert "Teams that share a fleet" in text
    assert "A deployment grows" in text


def test_instants_are_hours_minutes_seconds():
    assert [clock(seconds) for seconds in (0, 59.6, 22_861, 100_000)] == [
        "00:00:00",
        "00:01:00",
        "06:21:01",
        "27:46:40",
    ]


@pytest.mark.parametrize("name", ["gpuyard", "kueue"])
def test_a_gang_makes_way_whole_and_comes_back(name):
    lived = told_story.live(name, PRESETS[name])
    assert lived.evicted == (told_story.GANG,)
    assert lived.gone_after_s == lived.grace_s
    assert lived.grace_s < lived.ready_after_s < lived.grace_s + 60
    assert lived.back_after_s > told_story.SHRINKS_AFTER_NS / 10**9
    assert lived.ended_s < told_story.UNTIL_NS / 10**9
    lost_h = 20 / 60 * 8  # since it was last saved, on eight GPUs
    assert lost_h < lived.lost_gpu_h < lost_h + 0.5
    assert all(sum(held) <= lived.gpus for held in zip(*lived.held.values(), strict=True))


def test_teams_share_a_part_of_a_large_fleet():
    tasks = teams.tasks(Scenario())
    assert [task.contender.role for task in tasks][:2] == ["ours", "peer-3"]
    nodes = teams.shared_part(teams.parse_fleet(tasks[0].fleet))
    assert sum(len(node.devices) for node in nodes) == teams.GPUS_MAX
    assert {node.pool for node in nodes} == {"h100", "a100", "l4"}
    assert len(teams.shared_part(teams.parse_fleet("2x8xH100"))) == 2
