"""What the pointer reads is what was measured."""

import json
import math

from gpuyard.twin.page.content import LinePlot, Series
from gpuyard.twin.page.readout import COLUMNS_MAX, readouts


def readout_of(*series, **options):
    plot = LinePlot(id="p", title="A plot", x_label="x", y_label="y", series=series, **options)
    return json.loads(readouts([plot]))["p"]


def test_all_series_read_at_every_sample():
    found = readout_of(
        Series(name="a", x=(0.0, 1.0, 2.0), y=(1.0, math.nan, 3.0)),
        Series(name="b", x=(1.0, 1.5), y=(10.0, 20.0), low=(9.0, 19.0), high=(11.0, 21.0)),
    )
    assert found["x"] == [0, 5000, 7500, 10_000]
    assert found["at"] == ["0", "1", "1.5", "2"]
    assert found["series"][0]["values"] == ["1", "not measured", "3", "3"]
    assert found["series"][1]["values"] == ["", "10 (9 to 11)", "20 (19 to 21)", ""]


def test_a_long_series_is_bounded_and_keeps_its_peak():
    y = [1.0] * 50_000
    y[31_111] = 77.0
    found = readout_of(Series(name="a", x=tuple(map(float, range(50_000))), y=tuple(y)))
    assert len(found["x"]) <= COLUMNS_MAX
    assert "77" in found["series"][0]["values"]


def test_empty_series_read_as_nothing():
    assert readout_of(Series(name="a", x=(), y=())) == {
        "x": [],
        "at": [],
        "series": [{"name": "a", "role": "ours", "values": []}],
    }
    assert readout_of() == {"x": [], "at": [], "series": []}


def test_a_hostile_name_cannot_end_the_script():
    name = "</script><!--\u2028&"
    plot = LinePlot(
        id="p", title="t", x_label="x", y_label="y", series=(Series(name=name, x=(), y=()),)
    )
    text = readouts([plot])
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text)["p"]["series"][0]["name"] == name
