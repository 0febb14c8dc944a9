"""Accelerators that a grid can be planned for, from devices.toml. It asks no device anything."""

import tomllib

from pydantic import Field

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.types import Noun


class Device(Noun):
    """What a vendor's data sheet says of a device, and a price."""

    name: str
    tflops: float = Field(gt=0)
    """Peak of dense 16-bit matrix products, 10^12 a second."""
    memory_gb: float = Field(gt=0)
    bandwidth_gb_per_second: float = Field(gt=0)
    dollars_per_hour: float = Field(ge=0)
    """An assumption."""
    known_by: str
    """What the name that torch gives the device contains; measured rates are taken from results of it alone."""
    source: str
    utilisation: float | None = Field(default=None, gt=0, le=1)
    """Of the peak; for figures that are measured rates and not peaks."""
    reading: float | None = Field(default=None, gt=0, le=1)
    """Of the bandwidth, likewise."""


def known() -> dict[str, Device]:
    """Return the devices by name."""
    path = catalog.root() / "devices.toml"
    words = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: catalog.parse(found, Device, f"{path} [{name}]") for name, found in words.items()}


def find(name: str) -> Device:
    """Return the device of that name. Raises UsageError for an unknown one."""
    devices = known()
    if name.lower() not in devices:
        raise UsageError(f"Unknown device {name!r}. {nearest(name.lower(), list(devices))} devices.toml lists them.")
    return devices[name.lower()]


def here() -> str | None:
    """Return the name of this machine's device; None where devices.toml does not have it."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    name = torch.cuda.get_device_name(0)
    return next((key for key, device in known().items() if device.known_by in name), None)
