"""From texts to documents, and what is said of a text that cannot be read.

A folder of manifests holds more than manifests: charts that are not rendered, notes, data. A text
that somebody named is complained about whatever is wrong with it; one that was only found in a
folder, where it is an object or Helm values and has to do with GPUs. The others are counted, not
named.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from gpuyard.dialects.documents import Document, Limits, Problem, read

# What stands in a manifest that has to do with GPUs. The bare word does not count: a component may
# be called after them, or a dashboard show one.
ABOUT_GPUS = re.compile(
    r"nvidia|cuda|amd\.com/|gpu\.intel\.com|habana|google\.com/tpu|neuron|resourceclaim|vllm|sglang"
    r"|torchrun|gpu-operator|(?<![a-z])gpus?[\"']?\s*:",
    re.IGNORECASE,
)
# YAML and JSON are also what logs, dashboards and reports are written in.
OBJECT = re.compile(r"^(?:- |\{ *)?[\"']?apiVersion[\"']?\s*:|\"apiVersion\"\s*:", re.MULTILINE)
VALUES = "values"  # in the name of a file with Helm values


BYTES_MAX = Limits().json_size_max  # of one text; whoever reads files need not read more


class Text(msgspec.Struct, frozen=True):
    """A text to read; `is_named` where somebody gave its name and not that of a folder."""

    source: str
    content: str | bytes
    is_named: bool = True


class Given(NamedTuple):
    """What the texts of a run hold."""

    documents: list[Document]
    problems: list[Problem]
    passed_over: list[str]
    """Texts that cannot be read and have nothing to do with GPUs."""


def read_texts(texts: Iterable[Text]) -> Given:
    """Return the documents of all texts, in their order, and what could not be read."""
    given = Given([], [], [])
    for text in texts:
        documents, problems = read(text.content, text.source)
        given.documents.extend(documents)
        if problems and not text.is_named and not _is_meant(text):
            given.passed_over.append(text.source)
        else:
            given.problems.extend(problems)
    return given


def _is_meant(text: Text) -> bool:
    """Tell whether a text that was only found is a manifest that has to do with GPUs."""
    words = text.content if isinstance(text.content, str) else text.content.decode(errors="replace")
    is_manifest = OBJECT.search(words) or VALUES in text.source.rpartition("/")[2].lower()
    return bool(is_manifest and ABOUT_GPUS.search(words))
