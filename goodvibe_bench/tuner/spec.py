"""What can be said about a tuner in a definition file: its kind and hyper-parameters. No torch in here."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from goodvibe_bench.types import PROJECTIONS, Noun


def _as_range(value: Any) -> Any:
    """Return "none" as None and a number as the range of it alone; ranges and faults as they are."""
    if value == "none":
        return None
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _checked_range(span: tuple[int, int]) -> tuple[int, int]:
    low, high = span
    if not 2 <= low <= high:
        raise ValueError(
            f'clusters are a number or a range [low, high] with 2 <= low <= high, or "none", not [{low}, {high}]'
        )
    return span


class NoneSpec(Noun):
    """The base model as it is."""

    kind: Literal["none"]


class FullSpec(Noun):
    """Every parameter is trained, in float32, and rounded once to the model's dtype at the end."""

    kind: Literal["full"]


class LoraSpec(Noun):
    """Low-rank adaptation by peft."""

    kind: Literal["lora"]
    rank: int = Field(default=2, ge=1)
    """The paper's parameter counts are those of rank 2 on all seven projections."""
    alpha: int | None = Field(default=None, ge=1)
    """Scale numerator; twice the rank when not given."""
    frozen_b: bool = False
    """Control: B is random and frozen, A is trained from zero; then LoRA has the form of GoodVibe without its rows."""
    projections: tuple[str, ...] = PROJECTIONS
    top_layers: int | None = Field(default=None, ge=1)
    """Train the last decoder layers only; the hidden states below them are computed once and reused over epochs."""


class GoodVibeSpec(Noun):
    """Neuron-selective, cluster-shared tuning (sections 3.3, 3.4, 4.1, 4.2)."""

    kind: Literal["goodvibe"]
    top_k: int = Field(default=50, ge=1)
    """Rows selected in each linear layer (section 5.1)."""
    attribution: Literal["gradient", "activation", "gradient_activation", "parameter", "random"] = "gradient"
    """How rows are scored; neuron/attribution.py says what each means."""
    samples: int = Field(default=160, ge=2)
    """Labelled snippets that attribution reads at most, a seeded subsample."""
    enough_overlap: float = Field(default=0.9, gt=0, le=1)
    """Attribution stops early once two halves of what it read agree on this share of the selected rows."""
    features: Literal["profile", "importance", "profile_normalised"] = "profile"
    """What k-means clusters: a row's per-sample scores, their mean, or the scores at unit length."""
    clusters: Annotated[
        Annotated[tuple[int, int], AfterValidator(_checked_range)] | None, BeforeValidator(_as_range)
    ] = (
        2,
        8,
    )
    """Inclusive range of k-means' k, of which the best silhouette wins, or one k; "none" updates every row alone."""
    min_silhouette: float = Field(default=0.05, ge=-1, le=1)
    """Below it clustering is skipped (section 5.1)."""
    on_low_silhouette: Literal["independent", "single", "freeze"] = "independent"
    random_clusters: int | None = Field(default=None, ge=1)
    """Control: assign rows to this many clusters at random instead of by k-means."""
    projections: tuple[str, ...] = PROJECTIONS
    top_layers: int | None = Field(default=None, ge=1)
    """Train the last decoder layers only; the hidden states below them are computed once and reused over epochs."""


TunerSpec = Annotated[NoneSpec | FullSpec | LoraSpec | GoodVibeSpec, Field(discriminator="kind")]
