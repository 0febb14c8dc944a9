"""What judges/<name>.toml and judges/<name>/card.json may say. No torch in here."""

from typing import Annotated, Any, Literal

from pydantic import Field

from goodvibe_bench.objective.training import Training
from goodvibe_bench.tuner.spec import FullSpec, LoraSpec
from goodvibe_bench.types import Calibration, Noun


class Fit(Noun):
    """How `judge fit` trains this judge."""

    tasks: tuple[str, ...]
    """Their judge-train parts are learned from, their calibration parts measured on."""
    files: tuple[str, ...] = ()
    """More labelled pairs, JSON Lines below the folder given by --data; by file and commit, a share is learned from."""
    file_share: float = Field(default=0.5, gt=0, le=1)
    """The share of each file's commits that may be learned from; the rest stays for transfer tests."""
    seed: int = 0


class ModelJudge(Noun):
    """A language model asked for "0" or "1" (section 4.3)."""

    kind: Literal["model"]
    base: str
    """Hub id, folder or carried name of the base model."""
    max_code_tokens: int = Field(default=512, ge=16)
    tuner: Annotated[FullSpec | LoraSpec, Field(discriminator="kind")] = LoraSpec(kind="lora", rank=8)
    training: Training = Training()


class LinearJudge(Noun):
    """Logistic regression on character n-grams: the floor that every model judge must beat on transfer."""

    kind: Literal["linear"]
    features: int = Field(default=2**18, ge=2**10)
    inverse_regularisation: float = Field(default=10.0, gt=0)


class ScriptedJudge(Noun):
    """Calls code unsafe that contains one of the words. A double for tests."""

    kind: Literal["scripted"]
    unsafe_words: tuple[str, ...]


class JudgeDefinition(Noun):
    """One judge: what it is, and how it is fitted."""

    description: str
    judge: Annotated[ModelJudge | LinearJudge | ScriptedJudge, Field(discriminator="kind")]
    fit: Fit | None = None


class Card(Noun):
    """What is known about a fitted judge; written by `judge fit` beside its weights."""

    judge: str
    definition_digest: str
    weights_digest: str
    data: dict[str, Any]
    recipe: dict[str, Any]
    calibration: dict[str, Calibration]
    """Per language, on calibration data only; the thresholds are chosen there."""
    compared: dict[str, dict[str, Calibration]] = {}
    """The same figures before tuning ("untuned") and of the floor ("linear")."""
    notes: str = ""
