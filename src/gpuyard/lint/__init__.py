r"""Rules that know GPUs, over documents and cluster facts.

Texts come in, findings go out: `read_texts` makes documents of texts, `examine` shows them to every
rule of the `catalogue`, `reports` turns findings into text. Nothing here opens a file or asks a
server; who calls does.

    >>> from gpuyard.lint import Text, check
    >>> text = Text("pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: idle}\n")
    >>> check([text])
    []
"""

from gpuyard.lint.config import Settings
from gpuyard.lint.rule import Finding, Rule
from gpuyard.lint.run import Outcome, check, examine
from gpuyard.lint.texts import Text, read_texts

__all__ = ["Finding", "Outcome", "Rule", "Settings", "Text", "check", "examine", "read_texts"]
