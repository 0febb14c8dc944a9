"""What experiments/<name>.toml may say: a table or figure of the paper, its grid of runs and its printed cells.

It runs nothing. The paper's averages are computed anew from its cells, since some printed ones do not follow from them.
"""

from statistics import fmean
from typing import Literal, Self

from pydantic import Field, model_validator

from goodvibe_bench.task.load import Quality
from goodvibe_bench.types import Noun

Metric = Literal[
    "safe_rate", "trained_millions", "pflops", "tflops_per_second", "utility", "utility_change", "silhouette"
]
RATES = {"safe_rate"}
"""Metrics in % of samples, which have an interval and a secure and a valid rate beside them."""


class Column(Noun):
    """One column of a table: a method on a language's task, and what the paper prints of it for each model."""

    group: str
    """Columns of one group are printed in one table."""
    heading: str
    """As the paper has it."""
    task: str
    method: str
    overrides: dict[str, str] = {}
    """Trainer keys with other values than the definition's, as `--set` has them."""
    metric: Metric = "safe_rate"
    benchmark: str | None = None
    """The utility task that `utility` is of."""
    projection: str | None = None
    """The linear layer of every block that `silhouette` is of."""
    paper: tuple[float, ...] | None = None
    """In the order of the experiment's models; None where the paper prints no cells."""
    average: float | None = None
    """As printed."""

    @property
    def computed(self) -> float | None:
        """The average of the paper's cells; None where it prints none."""
        return fmean(self.paper) if self.paper else None

    @property
    def follows(self) -> bool:
        """Whether the printed average is that of the printed cells, in the last digit that is printed."""
        if self.average is None or self.computed is None:
            return True
        return abs(self.average - self.computed) < 0.05 + 1e-9

    @model_validator(mode="after")
    def _metric_is_of_something(self) -> Self:
        for metric, key in (("utility", "benchmark"), ("silhouette", "projection")):
            if (self.metric == metric) != (getattr(self, key) is not None):
                raise ValueError(f"{key} goes with metric {metric}, and {metric} with {key}")
        return self


class ExperimentDefinition(Noun):
    """One table or figure: every model by every column."""

    description: str
    section: str
    """Of the paper."""
    models: tuple[str, ...] = Field(min_length=1)
    """Names in models/."""
    column: tuple[Column, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    quality: Quality = "raw"
    """The paper left no damaged row out."""
    figure: Literal["bars", "clusters"] | None = None
    notes: tuple[str, ...] = ()
    """Why our cells may differ from the paper's."""

    @model_validator(mode="after")
    def _every_model_has_a_cell(self) -> Self:
        for column in self.column:
            if column.paper is not None and len(column.paper) != len(self.models):
                raise ValueError(f"{column.group} {column.heading}: {len(self.models)} cells are wanted")
        return self
