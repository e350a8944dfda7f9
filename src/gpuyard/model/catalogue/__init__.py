"""What is known about a GPU model from its name alone: memory, NVLink, MIG profiles.

Planning, traces and simulated nodes need to know what an ``H100`` is where no driver can be asked.
On a live node the driver is right and this catalogue is not read: names and sizes drift between
boards and driver versions. A figure that is not certain is `None`, never a guess: the models that
the Alibaba trace (*openb*, 2023) calls G2 and G3 are the publisher's anonymised names, and nothing
but the name is known about them.

A short name means one product: ``H100`` is the SXM board with 80 GB, ``A100`` the one with 80 GB.
Look-up ignores case and knows the names that GPU feature discovery writes into
``nvidia.com/gpu.product`` and AMD's labeller into ``amd.com/gpu.product-name``.

Sources: NVIDIA MIG user guide and captured ``nvidia-smi mig`` listings for profiles and placements;
the makers' product data sheets for memory and NVLink.
"""

from difflib import get_close_matches

from gpuyard.model.catalogue.mig import MigProfile
from gpuyard.model.catalogue.models import MODELS, DeviceModel

__all__ = ["MODELS", "DeviceModel", "MigProfile", "UnknownDeviceModel", "device_model"]


class UnknownDeviceModel(KeyError):  # noqa: N818  reads as what it says, like KeyError itself
    """No model of that name is in the catalogue; says which names come close."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.suggestions = _suggestions(name)

    def __str__(self) -> str:
        hint = f"; did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        return f"unknown GPU model {self.name!r}{hint} (known: {', '.join(m.name for m in MODELS)})"


def device_model(name: str) -> DeviceModel:
    """Return the model with this name or alias, whatever its case.

    Raises UnknownDeviceModel, a KeyError that names the closest models.
    """
    model = _BY_NAME.get(name.casefold())
    if model is None:
        raise UnknownDeviceModel(name)
    return model


def _suggestions(name: str) -> tuple[str, ...]:
    """Return at most three catalogue names: those that begin so, else the most similar ones."""
    asked = name.casefold()
    longer = [known for known in _BY_NAME if asked and known.startswith(asked)]
    nearest = longer or get_close_matches(asked, _BY_NAME, n=6, cutoff=0.6)
    return tuple(dict.fromkeys(_BY_NAME[known].name for known in nearest))[:3]


_BY_NAME = {alias.casefold(): model for model in MODELS for alias in (model.name, *model.aliases)}
