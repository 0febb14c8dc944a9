"""What tasks/<name>/task.toml may say. It reads no data."""

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from goodvibe_bench.types import PARTS, Language, Noun, Part


class BundledSource(Noun):
    """prompts.jsonl (held out), pairs.jsonl and, if there, calibration.jsonl beside the definition."""

    kind: Literal["bundled"]


class HubSource(Noun):
    """A data set on the hub, or the same file on this machine."""

    kind: Literal["hub"]
    dataset: str
    revision: str
    """A commit, so that the data cannot change under a result."""
    local: str
    """Where the file lies below the folder given by --data or GOODVIBE_BENCH_DATA."""
    prompt: str
    secure: str
    insecure: str
    where: dict[str, str]
    """Columns and the values that rows of this task have in them."""

    @field_validator("local")
    @classmethod
    def _stays_below_the_folder(cls, text: str) -> str:
        path = PurePath(text)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in text:
            raise ValueError("no file below the folder of data")
        return text


class Split(Noun):
    """How rows are divided into parts, by near-twin group."""

    seed: int = 0
    twin_cosine: float = Field(default=0.9, gt=0, le=1)
    """Two texts are near twins at or above this cosine of character n-grams."""
    shares: dict[Part, float] = {"tuner-train": 0.5, "judge-train": 0.25, "calibration": 0.25, "held-out": 0.0}

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        if set(self.shares) != set(PARTS) or abs(sum(self.shares.values()) - 1) > 1e-9 or min(self.shares.values()) < 0:
            raise ValueError(f"shares must name {', '.join(PARTS)} and sum to 1")
        return self


class TaskDefinition(Noun):
    """One language and where its data comes from."""

    description: str
    language: Language
    license: str
    source: Annotated[BundledSource | HubSource, Field(discriminator="kind")]
    split: Split = Split()
