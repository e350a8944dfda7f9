"""Every score by its name in a `Policy`; one module explains one score.

A score is a row of `SCORES`: what it reads (and so how long its answers stay good), whom it
concerns, its raw value for many nodes at once, and its normalisation over the feasible ones.
"""

from gpuyard.model.policy import ScoreName
from gpuyard.scheduling.rules import Score, always
from gpuyard.scheduling.scores import (
    best_fit,
    clustering,
    dot_product,
    fgd,
    packing,
    random,
)

SCORES: dict[ScoreName, Score] = {
    "fgd": Score("use", always, fgd.raw),
    "best-fit": Score("use", always, best_fit.raw, best_fit.normalise),
    "dot-product": Score("use", always, dot_product.raw),
    "packing": Score("use", always, packing.raw),
    "clustering": Score("use", always, clustering.raw),
    "random": Score("nothing", always, random.raw),
}
