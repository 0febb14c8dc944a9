"""What trainers/<name>.toml may say. No torch in here."""

from typing import Literal, Self

from pydantic import model_validator

from goodvibe_bench.objective.training import Training
from goodvibe_bench.tuner.spec import TunerSpec
from goodvibe_bench.types import Noun


class TrainerDefinition(Noun):
    """What is trained (tuner), how (objective), and with which numbers (training)."""

    description: str
    tuner: TunerSpec
    objective: Literal["sft"] = "sft"
    scope: Literal["joint", "language"] = "joint"
    """One model for all tasks of a run, or one for each language as in the paper."""
    training: Training = Training()
    presets: dict[str, dict[str, float | int | str | bool]] = {}
    """Per model name, training values that replace those above: a small model wants another learning rate."""

    def training_for(self, model: str) -> Training:
        """Return the hyper-parameters for the model of that name."""
        return Training.model_validate(self.training.model_dump() | self.presets.get(model, {}))

    @model_validator(mode="after")
    def _presets_are_valid(self) -> Self:
        for model in self.presets:
            self.training_for(model)
        return self
