"""What judges/<name>.toml and judges/<name>/card.json may say. No torch in here."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from goodvibe_bench.objective.training import Training
from goodvibe_bench.tuner.spec import FullSpec, LoraSpec
from goodvibe_bench.types import Calibration, Noun

ToolName = Literal["flawfinder", "cppcheck", "mobsfscan", "staticcheck"]
Rule = Literal["any", "majority", "mean"]


class Fit(Noun):
    """How `judge fit` trains this judge."""

    tasks: tuple[str, ...]
    """Their judge-train parts are learned from, their calibration parts measured on."""
    files: tuple[str, ...] = ()
    """More labelled pairs, JSON Lines below the folder given by --data; by file and commit, a share is learned from."""
    contrast: str | None = None
    """Folder of <language>.toml files with contrast sets, below the definition's own: learned from, all of them."""
    file_share: float = Field(default=0.5, gt=0, le=1)
    """The share of each file's commits that may be learned from; the rest stays for transfer tests."""
    share: float = Field(default=1.0, gt=0, le=1)
    """The share of all families that is learned from, by a hash of their ids: below 1 for learning curves."""
    mend: bool = False
    """Whether rows whose only defect is stray tokens are learned from too, without them."""
    copies: int = Field(default=1, ge=1)
    """Model judges: how often an epoch shows each family: half of the first times, and further on always, with other
    names and layout."""
    max_code_tokens: int | None = Field(default=None, ge=16)
    """Model judges: a family with a longer snippet is not learned from; as many as the judge reads when None."""
    rank_weight: float = Field(default=0.0, ge=0)
    """Model and pairwise judges: how much the order of a family's sides counts beside each side's label."""
    pull: float = Field(default=1.0, gt=0)
    """Signals judges: how strongly weights are held to the strengths that the signals' writers gave; pairwise: to 0."""
    seed: int = 0


class ModelJudge(Noun):
    """A language model asked for "0" or "1" (section 4.3)."""

    kind: Literal["model"]
    base: str
    """Hub id, folder or carried name of the base model."""
    max_code_tokens: int = Field(default=512, ge=16)
    bare: bool = True
    """Whether it reads code without comments and in one layout, so that neither flips a verdict."""
    tuner: Annotated[FullSpec | LoraSpec, Field(discriminator="kind")] = LoraSpec(kind="lora", rank=8)
    training: Training = Training()


class LinearJudge(Noun):
    """Logistic regression on character n-grams: the floor that every model judge must beat on transfer."""

    kind: Literal["linear"]
    features: int = Field(default=2**18, ge=2**10)
    inverse_regularisation: float = Field(default=10.0, gt=0)


class SignalsJudge(Noun):
    """What reviewers look for, as patterns with weights."""

    kind: Literal["signals"]
    folder: str
    """Of the .toml files that hold the signals, below the definition's own folder."""


class PairwiseJudge(Noun):
    """Logistic regression on tokens without a snippet's own names, learned from what tells sides of pairs apart."""

    kind: Literal["pairwise"]
    features: int = Field(default=2**18, ge=2**10)


class ScriptedJudge(Noun):
    """Calls code unsafe that contains one of the words. A double for tests."""

    kind: Literal["scripted"]
    unsafe_words: tuple[str, ...]


class AnalyserJudge(Noun):
    """Static analysers, each for the languages it covers; a language without one is unjudged."""

    kind: Literal["analyser"]
    tools: tuple[ToolName, ...] = Field(min_length=1)
    minimum: dict[ToolName, Annotated[float, Field(ge=0, le=1)]] = {}
    """Findings of a tool graded below its minimum do not count. Grades: flawfinder's levels 0-5 by fifths; an error
    1, a warning 0.6, information 0.2; staticcheck, which has no levels, 0.6."""
    threshold: float = Field(default=0.5, gt=0, le=1)
    """Code with a finding of this grade or above is unsafe, in a language without calibration."""
    timeout_seconds: float = Field(default=600, gt=0)
    """For one tool on one batch; of a batch that takes longer each snippet is read alone, in a share of it."""


class VoteJudge(Noun):
    """Several judges' answers made one."""

    kind: Literal["vote"]
    judges: tuple[str, ...] = Field(min_length=1)
    """Names, or paths of definitions."""
    rule: Rule
    """Unsafe when any member says so, when half of them or more do, or when the mean of their p_unsafe does."""
    weights: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = ()
    """Of the members in the mean, in their order; all alike when empty."""

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.weights and self.rule != "mean":
            raise ValueError(f"weights are for the rule 'mean', not {self.rule!r}")
        if self.weights and len(self.weights) != len(self.judges):
            raise ValueError(f"{len(self.weights)} weights for {len(self.judges)} judges")
        return self


class JudgeDefinition(Noun):
    """One judge: what it is, and how it is fitted."""

    description: str
    judge: Annotated[
        ModelJudge | LinearJudge | SignalsJudge | PairwiseJudge | AnalyserJudge | VoteJudge | ScriptedJudge,
        Field(discriminator="kind"),
    ]
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
    identity: str | None = None
    """Of the judge that the calibration is of (`cards.identity`); None in cards of before."""
    compared: dict[str, dict[str, Calibration]] = {}
    """The same figures before tuning ("untuned") and of the floor ("linear")."""
    measured: dict[str, Any] = {}
    """What `judge bench --save` found with this calibration: date, versions, rows of labelled sets, probes."""
    notes: str = ""
    """Limits, in words of the judge's makers."""
