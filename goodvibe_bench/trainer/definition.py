"""What trainers/<name>.toml may say. No torch in here."""

import tomllib
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from goodvibe_bench import catalog
from goodvibe_bench.objective.training import Training
from goodvibe_bench.tuner.spec import TunerSpec
from goodvibe_bench.types import Noun

ADAPTER = "adapter"
"""The folder, in a trained model's, of what was trained as a LoRA adapter over the base; full fine-tuning has none."""


def _value(text: str, before: Any) -> Any:
    """Return `text` as TOML would read it: a number, a list, true; none as None; else the text itself.

    In place of names such as ["q_proj"] it may be names separated by commas.
    """
    if text == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        names = isinstance(before, list) and all(isinstance(name, str) for name in before)
        return [name.strip() for name in text.split(",")] if names else text


def _text(value: Any) -> str:
    """Return the one spelling of a value, which `_value` reads back: 3e-3, 1, none, true, q_proj,k_proj, [2,8]."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        return _text(value[0])  # a range of one number
    if isinstance(value, list):
        words = ",".join(map(_text, value))
        return words if value and isinstance(value[0], str) else f"[{words}]"
    return str(value)


def _number(value: float) -> str:
    """Return the shorter of 0.003 and 3e-3; of equally short ones the latter. Whole numbers have no point."""
    number = Decimal(repr(value)).normalize()
    plain, sign, exponent = f"{number:f}", "-" * (number < 0), number.adjusted()
    first, *rest = map(str, number.as_tuple().digits)
    short = f"{sign}{first}{'.' * bool(rest)}{''.join(rest)}e{exponent}"
    return short if exponent < 0 and len(short) <= len(plain) else plain


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
        """Return the hyper-parameters for the model that is known by that name (model.known_as)."""
        return Training.model_validate(self.training.model_dump() | self.presets.get(model, {}))

    def with_overrides(self, overrides: dict[str, str]) -> "TrainerDefinition":
        """Return the definition with `--set` words applied, such as {"tuner.top_k": "100"}; they win over presets.

        Keys that this definition does not have are left out; `known` says which it has. Raises ValidationError
        for a value that does not fit.
        """
        words = self.model_dump(mode="json")
        for key, text in overrides.items():
            if not self.known(key):
                continue
            *place, last = key.split(".")
            inner = words
            for part in place:
                inner = inner[part]
            inner[last] = _value(text, inner[last])
            if place == ["training"]:
                for preset in words["presets"].values():
                    preset.pop(last, None)
        return TrainerDefinition.model_validate(words)

    def known(self, key: str) -> bool:
        """Return whether `key`, such as "training.epochs", is one of this definition's; a whole table is none."""
        if self.tuner.kind == "none":
            return False
        *place, last = key.split(".")
        found: Any = self
        for part in place:
            found = getattr(found, part, None) if part in getattr(type(found), "model_fields", {}) else None
        if last not in getattr(type(found), "model_fields", {}) or isinstance(getattr(found, last), Noun):
            return False
        return key not in {"description", "presets", "tuner.kind"}

    def spelled(self, key: str) -> str:
        """Return the value of a key that is `known`, spelled alike however it was given."""
        found: Any = self.model_dump(mode="json")
        for part in key.split("."):
            found = found[part]
        return _text(found)

    @model_validator(mode="after")
    def _presets_are_valid(self) -> Self:
        for model in self.presets:
            try:
                self.training_for(model)
            except ValidationError as error:
                faults = catalog.faults(error, Training, lambda key, model=model: f"presets.{model}.{key}")
                raise ValueError("; ".join(faults)) from error
        return self
