"""The table of GPU models. How its figures are meant is said at `DeviceModel`."""

from typing import Literal

import msgspec

from gpuyard.model.catalogue.mig import MigProfile, four_slices, seven_slices

Vendor = Literal["nvidia", "amd", "unknown"]

_GIB = 2**30


class DeviceModel(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU model.

    `memory_bytes` is the size by which the product goes: that of its name or data sheet, and from
    B200 on that of its full MIG profile, because boards differ. The driver reports a little less.
    `nvlink_gb_per_s` is the sum over both directions and all links of one GPU, in 10^9 bytes a
    second; where a bridge is an option, with the bridge. 0: the model has none. In both, `None`
    means not known, or different between products that share the name.
    """

    name: str
    vendor: Vendor = "nvidia"
    memory_bytes: int | None = None
    nvlink_gb_per_s: float | None = None
    mig_profiles: tuple[MigProfile, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def nvlink(self) -> bool | None:
        """Whether GPUs of this model can be joined by NVLink; `None` where that is not known."""
        return None if self.nvlink_gb_per_s is None else self.nvlink_gb_per_s > 0

    @property
    def mig_memory_slices(self) -> int:
        """Memory slices of a GPU in MIG mode; 0 without MIG."""
        return max((profile.memory_slices for profile in self.mig_profiles), default=0)

    @property
    def mig_compute_slices(self) -> int:
        """Compute slices of a GPU in MIG mode; 0 without MIG."""
        return max((profile.compute_slices for profile in self.mig_profiles), default=0)

    def mig_profile(self, name: str) -> MigProfile | None:
        """Return the profile called `name`, `None` where this model has none of that name."""
        return next((profile for profile in self.mig_profiles if profile.name == name), None)


_TRACE = (
    DeviceModel(name="G2", vendor="unknown"),  # Alibaba's anonymised name
    DeviceModel(name="G3", vendor="unknown"),  # Alibaba's anonymised name
    DeviceModel(name="P100"),  # sold with 12 and 16 GB, with NVLink and without
    DeviceModel(
        name="V100M16",
        memory_bytes=16 * _GIB,
        aliases=("V100-16", "V100-16GB", "Tesla-V100-SXM2-16GB", "Tesla-V100-PCIE-16GB"),
    ),
    DeviceModel(
        name="V100M32",
        memory_bytes=32 * _GIB,
        aliases=("V100-32", "V100-32GB", "Tesla-V100-SXM2-32GB", "Tesla-V100-PCIE-32GB"),
    ),
)

_SINGLE = (
    DeviceModel(name="T4", memory_bytes=16 * _GIB, nvlink_gb_per_s=0, aliases=("Tesla-T4",)),
    DeviceModel(name="L4", memory_bytes=24 * _GIB, nvlink_gb_per_s=0, aliases=("NVIDIA-L4",)),
    DeviceModel(name="A10", memory_bytes=24 * _GIB, nvlink_gb_per_s=0, aliases=("NVIDIA-A10",)),
    DeviceModel(
        name="A30",
        memory_bytes=24 * _GIB,
        nvlink_gb_per_s=200,
        mig_profiles=four_slices("1g.6gb 2g.12gb 4g.24gb", media=("1g.6gb", "2g.12gb")),
        aliases=("NVIDIA-A30",),
    ),
    DeviceModel(name="A40", memory_bytes=48 * _GIB, nvlink_gb_per_s=112.5, aliases=("NVIDIA-A40",)),
    DeviceModel(name="L40S", memory_bytes=48 * _GIB, nvlink_gb_per_s=0, aliases=("NVIDIA-L40S",)),
    DeviceModel(
        name="RTX-PRO-6000",
        memory_bytes=96 * _GIB,
        nvlink_gb_per_s=0,
        mig_profiles=four_slices("1g.24gb 2g.48gb 4g.96gb", 23.62, None, None, media=("1g.24gb",)),
        aliases=("RTX PRO 6000", "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition"),
    ),
)

_AMPERE = (
    DeviceModel(
        name="A100-40",
        memory_bytes=40 * _GIB,
        nvlink_gb_per_s=600,
        mig_profiles=seven_slices(
            "1g.5gb 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb",
            *(4.75, 9.62, 9.62, 19.5, 19.5, 39.25),
            media=("1g.5gb",),
        ),
        aliases=("A100-40GB", "NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-PCIE-40GB"),
    ),
    DeviceModel(
        name="A100-80",
        memory_bytes=80 * _GIB,
        nvlink_gb_per_s=600,
        mig_profiles=seven_slices(
            "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
            *(9.62, 19.5, 19.5, 39.25, 39.25, 78.5),
            media=("1g.10gb",),
        ),
        aliases=("A100", "A100-80GB", "NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-80GB-PCIe"),
    ),
)

_H100_80 = seven_slices(
    "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    *(9.75, 19.62, 19.62, 39.5, 39.5, None),
    media=("1g.10gb",),
)
_HOPPER_96 = seven_slices("1g.12gb 1g.24gb 2g.24gb 3g.48gb 4g.48gb 7g.96gb")

_HOPPER = (
    DeviceModel(
        name="H100",
        memory_bytes=80 * _GIB,
        nvlink_gb_per_s=900,
        mig_profiles=_H100_80,
        aliases=("H100-80", "H100-80GB", "H100-SXM", "NVIDIA-H100-80GB-HBM3"),
    ),
    DeviceModel(
        name="H100-PCIe",
        memory_bytes=80 * _GIB,
        nvlink_gb_per_s=600,
        mig_profiles=_H100_80,
        aliases=("NVIDIA-H100-PCIe",),
    ),
    DeviceModel(
        name="H100-NVL",
        memory_bytes=94 * _GIB,
        nvlink_gb_per_s=600,
        mig_profiles=seven_slices(
            "1g.12gb 1g.24gb 2g.24gb 3g.47gb 4g.47gb 7g.94gb",
            *(None, None, None, None, 46.38, 93.12),
        ),
        aliases=("NVIDIA-H100-NVL",),
    ),
    DeviceModel(
        name="H20",
        memory_bytes=96 * _GIB,
        nvlink_gb_per_s=900,
        mig_profiles=_HOPPER_96,
        aliases=("NVIDIA-H20",),
    ),
    DeviceModel(
        name="H200",
        memory_bytes=141 * _GIB,
        nvlink_gb_per_s=900,
        mig_profiles=seven_slices(
            "1g.18gb 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb",
            *(16.0, 32.25, None, 69.5, 69.5, 140.0),
            media=("1g.18gb",),
        ),
        aliases=("H200-141", "H200-SXM", "NVIDIA-H200"),
    ),
    DeviceModel(
        name="GH200-96",
        memory_bytes=96 * _GIB,
        nvlink_gb_per_s=900,
        mig_profiles=_HOPPER_96,
        aliases=("GH200", "NVIDIA-GH200-480GB"),
    ),
    DeviceModel(
        name="GH200-144",
        memory_bytes=144 * _GIB,
        nvlink_gb_per_s=900,
        mig_profiles=seven_slices(
            "1g.18gb 1g.36gb 2g.36gb 3g.72gb 4g.72gb 7g.144gb",
            *(17.5, 35.25, None, None, None, None),
        ),
        aliases=("NVIDIA-GH200-144G-HBM3e",),
    ),
)

_BLACKWELL = (
    DeviceModel(
        name="B200",
        memory_bytes=180 * _GIB,
        nvlink_gb_per_s=1800,
        mig_profiles=seven_slices(
            "1g.23gb 1g.45gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb",
            *(None, 44.25, 44.25, None, None, None),
            media=("1g.23gb",),
        ),
        aliases=("NVIDIA-B200",),
    ),
    DeviceModel(
        name="GB200",
        memory_bytes=186 * _GIB,
        nvlink_gb_per_s=1800,
        # older boards call them 1g.24gb, 3g.95gb, 4g.95gb and 7g.189gb
        mig_profiles=seven_slices(
            "1g.23gb 1g.47gb 2g.47gb 3g.93gb 4g.93gb 7g.186gb",
            *(20.0, 45.5, None, None, None, None),
        ),
        aliases=("NVIDIA-GB200",),
    ),
    DeviceModel(
        name="B300",
        memory_bytes=269 * _GIB,
        nvlink_gb_per_s=1800,
        mig_profiles=seven_slices("1g.34gb 1g.67gb 2g.67gb 3g.135gb 4g.135gb 7g.269gb"),
        aliases=("NVIDIA-B300-SXM6-AC",),
    ),
    DeviceModel(
        name="GB300",
        memory_bytes=278 * _GIB,
        nvlink_gb_per_s=1800,
        mig_profiles=seven_slices("1g.35gb 1g.70gb 2g.70gb 3g.139gb 4g.139gb 7g.278gb"),
        aliases=("NVIDIA-GB300",),
    ),
)

# Infinity Fabric joins these; NVLink is another maker's.
_AMD = (
    DeviceModel(
        name="MI210",
        vendor="amd",
        memory_bytes=64 * _GIB,
        nvlink_gb_per_s=0,
    ),
    DeviceModel(
        name="MI300X",
        vendor="amd",
        memory_bytes=192 * _GIB,
        nvlink_gb_per_s=0,
        aliases=("AMD_Instinct_MI300X_OAM",),
    ),
    DeviceModel(
        name="MI325X",
        vendor="amd",
        memory_bytes=256 * _GIB,
        nvlink_gb_per_s=0,
    ),
)

MODELS = _TRACE + _SINGLE + _AMPERE + _HOPPER + _BLACKWELL + _AMD
