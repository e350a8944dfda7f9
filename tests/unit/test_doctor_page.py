"""The reference of doctor is what the code says, and so is the report."""

import json
from pathlib import Path

import pytest

from gpuyard.platform.layers import KINDS, Facts, examine
from gpuyard.platform.layers.page import tables
from gpuyard.platform.layers.report import Source, as_json, as_table
from gpuyard.platform.layers.versions import numbers, of_image
from tests import small_clouds as small
from tests.small_clouds import facts_of

ROOT = Path(__file__).resolve().parents[2]
MARK = "<!-- From here on written by docs/doctor.py -->\n"
SOURCE = Source(sentence="context test", seen_at="2026-01-01T00:00:00+00:00")


def test_the_page_is_what_the_tables_say():
    page = (ROOT / "docs" / "reference" / "doctor.md").read_text(encoding="utf-8")
    assert page.partition(MARK)[2] == f"\n{tables()}", "run: python docs/doctor.py"


def test_the_role_on_the_page_lists_every_kind():
    page = (ROOT / "docs" / "reference" / "doctor.md").read_text(encoding="utf-8")
    plurals = {
        f"{kind.rpartition('/')[2].lower()}s".replace("policys", "policies") for kind in KINDS
    }
    for plural in plurals:
        assert plural in page


# --- The report -----------------------------------------------------------------------------------


def shown(objects, **settings):
    return as_table(examine(facts_of(objects)), SOURCE, columns=100, **settings)


@pytest.mark.parametrize("name", small.CLOUDS)
def test_a_table_fits_and_names_its_source(name):
    text = shown(small.CLOUDS[name]())
    assert text.startswith("context test\n")
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert text.splitlines()[-1].startswith("no contradictions; ")


def test_a_finding_is_a_sentence_and_what_to_do():
    text = shown([*small.bare_metal(), small.plugin_of_chart()])
    found = text.partition("findings\n")[2]
    assert found.startswith(
        "  error    LAYER-TWICE\n    pool dgx-h100: 2 of 2 nodes (dgx-0, dgx-1)"
    )
    assert "    → keep one: set devicePlugin.enabled: false" in found
    assert text.splitlines()[-1].startswith("1 error; 2 GPU nodes in 1 pool, of 2 nodes.")


def test_colour_only_repeats_the_word():
    objects = [*small.bare_metal(), small.plugin_of_chart()]
    plain, colored = shown(objects), shown(objects, color=True)
    assert "\x1b[31m  error" in colored
    for code in ("\x1b[31m", "\x1b[1m", "\x1b[0m"):
        colored = colored.replace(code, "")
    assert colored == plain


def test_what_was_not_seen_is_in_the_last_lines():
    facts = facts_of(small.gke())
    listed = {kind: values for kind, values in facts.listed.items() if kind != "Pod"}
    text = as_table(examine(Facts(listed=listed)), SOURCE, columns=100)
    assert "?/2" in text
    unseen = text.partition("Not seen, and nothing concluded from it: ")[2]
    assert unseen.startswith("Pod, ResourceQuota, Deployment, ClusterPolicy, GPUCluster,")


def test_the_fields_of_json_are_those_of_the_page():
    page = (ROOT / "docs" / "reference" / "doctor.md").read_text(encoding="utf-8")
    objects = [*small.bare_metal(), small.plugin_of_chart()]
    answer = json.loads(as_json(examine(facts_of(objects)), SOURCE))
    section = page.partition("## `-o json`")[2].partition("<!--")[0]
    for field, values in answer.items():
        assert f"`{field}`" in section
        if values and isinstance(values, list) and isinstance(values[0], dict):
            row = next(line for line in section.splitlines() if line.startswith(f"| `{field}` "))
            for key in values[0]:
                assert key in row
    finding = answer["findings"][0]
    assert (finding["check"], finding["severity"], finding["pool"]) == (
        "LAYER-TWICE",
        "error",
        "dgx-h100",
    )


# --- Versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nvcr.io/nvidia/driver:580.126.20-ubuntu24.04", "580.126.20"),
        ("nvcr.io/nvidia/k8s-device-plugin:v0.20.0", "0.20.0"),
        ("nvcr.io/nvidia/k8s/dcgm-exporter:4.6.0-4.8.3-distroless", "4.6.0-4.8.3"),
        ("registry.example:5000/nvidia/k8s-device-plugin:v0.17.4", "0.17.4"),
        ("registry.example:5000/nvidia/k8s-device-plugin", ""),
        ("nvcr.io/nvidia/driver@sha256:" + "0" * 64, ""),
        ("nvcr.io/nvidia/driver:580.65.06@sha256:" + "0" * 64, "580.65.06"),
        ("registry.k8s.io/kueue/kueue:v0.20.0-rc.1", "0.20.0-rc.1"),
        ("rocm/k8s-device-plugin:latest", ""),
        ("", ""),
    ],
)
def test_the_version_of_an_image(image, expected):
    assert of_image(image) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v25.10.1", (25, 10, 1)), ("25.3.4-rc.1", (25, 3, 4)), ("", ()), ("devel", ())],
)
def test_versions_are_compared_by_their_numbers(version, expected):
    assert numbers(version) == expected
