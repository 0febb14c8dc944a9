"""What lies beside a judge's definition: weights, the card, and whether the card's calibration is still of this judge.

It loads no model and judges nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import AnalyserJudge, Card, JudgeDefinition, ModelJudge, SignalsJudge, VoteJudge
from goodvibe_bench.model.source import CARRIED, digest_folder

Definition = catalog.Definition[JudgeDefinition]


@dataclass(frozen=True)
class Standing:
    """What is known about a judge as it is now."""

    card: Card | None
    """None where the judge was never fitted or calibrated; without calibrations where these are of another judge."""
    stale: bool
    """Whether the card has calibrations that were left out."""
    identity: str
    """Digest of what a calibration is of: definition, weights, an adapter's config, the files of a base model that is a
    folder here, signals, tools' versions, members with their calibrations. Of a base model from the hub, and of one
    that a package carries, only the name is in it. Dtype, device and backend are not, for scores differ little by
    these."""


def standing(definition: Definition, above: tuple[Path, ...] = ()) -> Standing:
    """Return a judge's card, its calibrations only where they are of the judge as it is now.

    `above` are the votes that it is a member of. Raises UsageError for a vote that is its own member, and for a member
    that is not known.
    """
    own = identity(definition, weights_folder(definition), above)
    written = read_card(weights_folder(definition))
    card = in_force(written, definition, own)
    return Standing(card, card is not written, own)


def in_force(card: Card | None, definition: Definition, identity: str) -> Card | None:
    """Return the card, without its calibrations where they are of another judge than the one of this identity."""
    if card is None or not card.calibration or _is_of(card, definition, identity):
        return card
    return card.model_copy(update={"calibration": {}})


def identity(definition: Definition, folder: Path, above: tuple[Path, ...] = ()) -> str:
    """Return `Standing.identity` of a judge whose weights are in `folder`."""
    spec = definition.content.judge
    more: Any = None
    if isinstance(spec, SignalsJudge):
        from goodvibe_bench.judge import signals

        more = signals.read(definition.path.parent / spec.folder).digest
    elif isinstance(spec, AnalyserJudge):
        from goodvibe_bench.judge.analyser import installed

        more = {name: tool.version for name, tool in installed(spec).items()}
    elif isinstance(spec, VoteJudge):
        more = _members(definition, spec, above)
    elif isinstance(spec, ModelJudge):
        config = folder / "adapter_config.json"
        more = [sha256(config.read_bytes()).hexdigest() if config.is_file() else None, _digest_base(spec.base)]
    return catalog.digest([definition.digest, digest_weights(folder), more])


def read_card(folder: Path) -> Card | None:
    """Return the card in a judge's folder as it was written, or None where there is none."""
    path = folder / "card.json"
    if not path.is_file():
        return None
    return catalog.parse(catalog.json_words(path), Card, str(path))


def weights_folder(definition: Definition) -> Path:
    """Return the folder of a judge's weights and card: the one beside its definition with its name."""
    return definition.path.parent / definition.name


def digest_weights(folder: Path) -> str:
    """Return a digest of the safetensors files in a judge's folder."""
    return catalog.digest({path.name: sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")})


def _digest_base(base: str) -> str | None:
    """Return a digest of weights, config and tokenizer of a base model that is a folder here, else None."""
    folder = Path(base).expanduser()
    if base in CARRIED or not folder.is_dir():
        return None
    return _digest(folder.resolve(), tuple((path.name, *_state(path)) for path in sorted(folder.iterdir())))


@lru_cache(maxsize=16)
def _digest(folder: Path, states: tuple[tuple[str, int, int], ...]) -> str:  # noqa: ARG001 - changed files are read again
    return digest_folder(folder)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _members(definition: Definition, spec: VoteJudge, above: tuple[Path, ...]) -> list[Any]:
    path = definition.path.resolve()
    if path in above:
        names = " -> ".join(step.stem for step in (*above, path))
        raise UsageError(f"{definition.path}: the vote is its own member: {names}. Take one of them out of `judges`.")
    found = []
    for name in spec.judges:
        member = standing(catalog.read("judges", name, JudgeDefinition), (*above, path))
        known = member.card.calibration.values() if member.card else ()
        cuts = {one.language: [one.threshold, one.scaling and one.scaling.model_dump()] for one in known}
        found.append([member.identity, cuts])
    return found


def _is_of(card: Card, definition: Definition, identity: str) -> bool:
    if card.identity is not None:
        return card.identity == identity
    weights = digest_weights(weights_folder(definition))
    return (card.definition_digest, card.weights_digest) == (definition.digest, weights)
