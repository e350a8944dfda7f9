"""From texts to documents, and what is said of a text that cannot be read.

A folder of manifests holds more than manifests: charts that are not rendered, notes, data. A text
that somebody named is complained about whatever is wrong with it; one that was only found in a
folder, where it has to do with GPUs. The others are counted, not named.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from gpuyard.dialects.documents import Document, Limits, Problem, read

ABOUT_GPUS = re.compile(
    r"gpu|nvidia|cuda|amd\.com/|habana|google\.com/tpu|neuron|resourceclaim|vllm|sglang|torchrun",
    re.IGNORECASE,
)


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
        if problems and not text.is_named and not _is_about_gpus(text.content):
            given.passed_over.append(text.source)
        else:
            given.problems.extend(problems)
    return given


def _is_about_gpus(content: str | bytes) -> bool:
    text = content if isinstance(content, str) else content.decode(errors="replace")
    return ABOUT_GPUS.search(text) is not None
