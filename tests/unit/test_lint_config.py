"""The settings of a repository, and how what is misspelt in them is refused."""

import pytest

from gpuyard.lint import Settings, catalogue
from gpuyard.lint.config import ConfigError, read_config

SHM = catalogue.rule("GPU-SHM")
LIMITS = catalogue.rule("GPU-LIMITS")


def config(text):
    return read_config(text.encode(), ".gpuyard.yaml")


def test_everything_that_can_be_set():
    settings = config(
        """\
lint:
  fail_on: error
  severities:
    GPU-SHM: info
    gpu-limits: "off"
  ignore:
    - vendor/
    - "*.json"
"""
    )
    assert settings == Settings(
        severities={"GPU-SHM": "info", "GPU-LIMITS": "off"},
        ignore=("vendor/", "*.json"),
        fail_on="error",
    )
    assert settings.severity(SHM) == "info"
    assert settings.severity(LIMITS) is None


@pytest.mark.parametrize("text", ["", "\n", "lint:\n", "lint: {}\n", "# nothing yet\n", "{}"])
def test_what_is_not_set_has_its_default(text):
    assert config(text) == Settings()
    assert Settings().severity(SHM) == SHM.severity == "error"


def test_a_bare_off_is_taken_for_what_was_meant():
    settings = config("lint:\n  severities:\n    GPU-SHM: off\n")
    assert settings.severity(SHM) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("lnit: {}", "1:1: unknown setting 'lnit'; did you mean lint?", id="section"),
        pytest.param(
            "lint:\n  failon: info",
            "2:3: unknown setting 'failon'; did you mean fail_on?",
            id="setting",
        ),
        pytest.param(
            "lint:\n  zzz: 1",
            "2:3: unknown setting 'zzz'; there is fail_on, ignore, severities",
            id="nothing like it",
        ),
        pytest.param(
            "lint:\n  severities:\n    GPU-SHN: info",
            "3:5: unknown rule 'GPU-SHN'; did you mean GPU-SHM?",
            id="rule",
        ),
        pytest.param(
            "lint:\n  severities:\n    ZZZ: info",
            "3:5: unknown rule 'ZZZ'; gpuyard explain lists them",
            id="no such rule",
        ),
        pytest.param(
            "lint:\n  severities:\n    GPU-SHM: fatal",
            "3:5: 'fatal' is no severity; give error, warning, info, off",
            id="severity",
        ),
        pytest.param(
            "lint:\n  severities:\n    GPU-SHM: true",
            "3:5: True is no severity; give error, warning, info, off",
            id="severity of another type",
        ),
        pytest.param(
            "lint:\n  severities: [GPU-SHM]",
            "2:3: severities is ['GPU-SHM'], not a mapping",
            id="a list of severities",
        ),
        pytest.param(
            "lint:\n  fail_on: never ever",
            "2:3: 'never ever' is not one of error, warning, info, never",
            id="threshold",
        ),
        pytest.param("lint: 3", "1:1: lint is 3, not a mapping", id="not a mapping"),
        pytest.param(
            "lint:\n  ignore: vendor",
            "2:3: 'vendor' is no list of file patterns",
            id="one pattern",
        ),
        pytest.param(
            "lint:\n  ignore:\n    - a\n    - 3", "4:7: 3 is no file pattern", id="a number"
        ),
        pytest.param(
            "lint:\n  ignore:\n    - ''", "3:7: '' is no file pattern", id="an empty pattern"
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text, sentence):
    with pytest.raises(ConfigError) as error:
        config(text)
    assert str(error.value) == f".gpuyard.yaml:{sentence}"


@pytest.mark.parametrize("text", ["lint: {", "- lint", "lint: 1\nlint: 2", "\x00"])
def test_a_text_that_is_no_configuration_is_refused_with_its_place(text):
    with pytest.raises(ConfigError, match=r"^\.gpuyard\.yaml:\d+:\d+: \S") as error:
        config(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fail_on", "fails"),
    [
        ("error", {"error"}),
        ("warning", {"error", "warning"}),
        ("info", {"error", "warning", "info"}),
        ("never", set()),
    ],
)
def test_fails(fail_on, fails):
    settings = Settings(fail_on=fail_on)
    assert {one for one in ("error", "warning", "info") if settings.fails([one])} == fails
    assert settings.fails([]) is False
