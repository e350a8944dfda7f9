"""Lines are JSON, few, and say where something happened without quoting it."""

import msgspec
import pytest

from gpuyard.dialects.documents import read
from gpuyard.web.admission.log import LINES_PER_SECOND_MAX, Log, where


def test_a_line():
    lines = []
    Log(lines.append, clock=lambda: 1_800_000_000.25).say("info", "listening", address=":8443")
    (line,) = lines
    assert line == (
        '{"at":"2027-01-15T08:00:00.250+00:00","level":"info","event":"listening",'
        '"address":":8443"}\n'
    )


def test_a_storm_is_counted():
    lines, now = [], [100.0]
    log = Log(lines.append, clock=lambda: now[0])
    for _ in range(LINES_PER_SECOND_MAX + 7):
        log.say("error", "review-failed")
    assert len(lines) == LINES_PER_SECOND_MAX
    now[0] = 101.0
    log.say("error", "review-failed")
    log.say("error", "review-failed")
    assert [msgspec.json.decode(line).get("left_out") for line in lines[-2:]] == [7, None]


def test_where_names_our_line():
    with pytest.raises((TypeError, AttributeError)) as ours:
        read(None, "a")
    assert where(ours.value).startswith("dialects/documents/")
    with pytest.raises(ValueError, match="invalid literal") as theirs:
        int("x")
    assert where(theirs.value) == ""
