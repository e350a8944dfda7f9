"""Whoever remembers an answer is asked again: what is kept must be what would be found anew."""

from contextlib import contextmanager

import pytest

from gpuyard.scheduling.admission import nominate
from gpuyard.scheduling.preemption.queues.minimal import Trial


@contextmanager
def asked_again():
    """Compare, for as long as the block lasts, each remembered answer with a new one."""
    kept, fits = nominate._kept, Trial.fits

    def kept_and_asked(known, asked, ask):
        answer = kept(known, asked, ask)
        assert answer == ask(), asked
        return answer

    def fits_and_asked(trial, *, may_borrow=True):
        answer = fits(trial, may_borrow=may_borrow)
        assert answer == trial._fits(may_borrow=may_borrow)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nominate, "_kept", kept_and_asked)
        patch.setattr(Trial, "fits", fits_and_asked)
        yield
