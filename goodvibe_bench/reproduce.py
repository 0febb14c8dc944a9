"""Run a result's command again, from what the result itself says, and tell what came out otherwise.

It judges no difference: versions, digests, losses, rates and samples are put side by side. Dates, seconds and memory
are left out, for a clock decides them.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.generating import SERVED
from goodvibe_bench.request import BESIDE, Request, Show
from goodvibe_bench.result import instrument, store
from goodvibe_bench.run import run
from goodvibe_bench.trainer.definition import TrainerDefinition
from goodvibe_bench.types import Noun, Record, Result

DRAWN = ("models", "attribution", "completions", "verdicts", "locks")
"""What a run keeps in its scratch folder."""
LOSSES = ("trainable_parameters", "examples", "steps", "tokens", "padded_tokens", "first_loss", "last_loss")


class Difference(Noun):
    """One thing that is not the same; None where a side does not have it."""

    kind: Literal["version", "digest", "training", "rate", "sample", "text"]
    what: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Reproduction:
    """The result made again, its file, and all differences from the one before."""

    before: Result
    result: Result
    path: Path
    differences: list[Difference]

    @property
    def equal(self) -> bool:
        """Whether every rate, sample and text is the same; versions and digests may still differ."""
        return not any(found.kind in {"rate", "sample", "text"} for found in self.differences)


def reproduce(
    path: Path,
    show: Show,
    *,
    scratch: Path,
    cached: bool = False,
    data: Path | None = None,
    trust_remote_code: bool = False,
) -> Reproduction:
    """Run the result in `path` again and compare.

    It starts from nothing in a folder of its own below `scratch`, and goes on there after a kill; with `cached` it
    takes what is in `scratch` itself. Raises UsageError for a result that no run of ours can make again, and for one
    whose model brings code of its own unless `trust_remote_code`: a file is nobody who could allow that.
    """
    before = store.read_result(path)
    trainer = _trainer(before, path)
    own = scratch / "reproduce" / catalog.digest(before.model_dump(mode="json"))
    request = _request(before, path, trust_remote_code).model_copy(
        update={"data": data, "output": own / "results", "scratch": scratch if cached else own}
    )
    ((after, written),) = run(request, show, [trainer])
    if not cached:
        for name in DRAWN:
            shutil.rmtree(own / name, ignore_errors=True)
    found = [*differences(before, after), *_texts(_records(path), _records(written))]
    return Reproduction(before, after, written, found)


def _trainer(result: Result, path: Path) -> catalog.Definition[TrainerDefinition]:
    """Return the trainer as the result holds it, whatever the definition of its name says today."""
    words = result.config.get("trainer")
    content = catalog.parse(words, TrainerDefinition, f"{path}, config.trainer")
    return catalog.Definition(result.method, path, content, str(result.provenance.get("trainer_digest")))


def _request(result: Result, path: Path, trust_remote_code: bool) -> Request:
    config = {key: value for key, value in result.config.items() if key not in {"trainer", "server"} | BESIDE}
    if config.get("trust_remote_code", False) is not False and not trust_remote_code:
        raise UsageError(
            f"{path} was made with --trust-remote-code: its model {result.config.get('model')!r} brings its own code. "
            "Give --trust-remote-code where you trust both."
        )
    if "source" in config:
        raise UsageError(
            f"{path} was made by `score` from samples that no run of ours drew. Score the same file again instead."
        )
    if config.get("backend") == SERVED:
        raise UsageError(
            f"{path} was drawn from a server, whose weights are not known and may have changed. Ask it again with "
            "`goodvibe-bench run`, and put the two side by side with `goodvibe-bench compare`."
        )
    return catalog.parse(config | {"methods": (result.method,)}, Request, f"{path}, config")


def differences(before: Result, after: Result) -> list[Difference]:
    """Return what differs: versions, digests, training, rates, samples, in this order."""
    return [
        *_between("version", before.versions, after.versions),
        *_between("digest", _digests(before), _digests(after)),
        *_between("training", _training(before), _training(after)),
        *_between("rate", _rates(before), _rates(after)),
        *_between("sample", _samples(before), _samples(after)),
    ]


def _between(kind: Any, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    for what in dict.fromkeys([*before, *after]):
        old, new = before.get(what), after.get(what)
        if old != new:
            yield Difference(kind=kind, what=what, before=old, after=new)


def _digests(result: Result) -> dict[str, Any]:
    judges = {f"judge {judge['name']}": judge.get("digest") for judge in instrument.judges(result)}
    tasks = {f"task {name}": digest for name, digest in result.task_hashes.items()}
    ours = {"code": result.provenance.get("code"), "platform": result.provenance.get("platform")}
    return {"model": result.model.digest, **tasks, **judges, **ours}


def _training(result: Result) -> dict[str, Any]:
    return {f"{number} {key}": getattr(one, key) for number, one in enumerate(result.training, 1) for key in LOSSES}


def _rates(result: Result) -> dict[str, Any]:
    return {
        f"{task} {key.removesuffix(',none')}": value
        for task, found in result.results.items()
        for key, value in found.items()
        if key.endswith(("_rate,none", "samples"))
    }


def _samples(result: Result) -> dict[str, Any]:
    """Return what every judge said of every sample, and how long its answer is."""
    found: dict[str, Any] = {}
    for row in result.outcomes:
        name = f"{row['task']} {row['prompt_id']} {row['attempt']}"
        said = {"": row} | {f" by {judge}": words for judge, words in row.get("others", {}).items()}
        for judge, words in said.items():
            found |= {f"{name} {key}{judge}": words[key] for key in ("outcome", "label", "p_unsafe")}
        found[f"{name} tokens"] = row.get("tokens")
    return found


def _records(path: Path) -> dict[str, str]:
    """Return the text of every sample of the result in `path`; nothing where its records are not at hand."""
    records = store.read_lines(path.parent / "records" / f"{path.stem}.jsonl", Record)
    return {f"{one.task} {one.prompt.id} {one.completion.attempt}": one.completion.text for one in records}


def _texts(before: dict[str, str], after: dict[str, str]) -> list[Difference]:
    return list(_between("text", before, after)) if before else []
