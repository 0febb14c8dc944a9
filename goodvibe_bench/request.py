"""What a run is asked for, and how it reports what it does. It checks no more than forms, and runs nothing."""

from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from goodvibe_bench.engine import Engine
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.generator.server import Server
from goodvibe_bench.task.load import Quality
from goodvibe_bench.types import Noun


class Request(Noun):
    """All that a run is asked for."""

    model: str
    revision: str | None = None
    methods: tuple[str, ...]
    tasks: tuple[str, ...] = ("cpp", "java", "swift", "go")
    judges: tuple[str, ...] = Field(default=("panel",), min_length=1)
    """The first is the headline judge, whose verdict decides a sample's outcome; all label every sample."""
    uncalibrated: bool = False
    """Take judges without a calibration for a task's language; there is no corrected rate there."""
    backend: str = "auto"
    """One of the generators, or "auto", which a run settles before it begins."""
    judge_backend: Literal["transformers", "vllm"] = "transformers"
    """What the models of judges run on."""
    engine: Engine | None = None
    """How vLLM's engine is set up; its defaults when None."""
    server: Server | None = None
    """Where the backend `openai` asks; it runs no weights of its own."""
    limit: int | None = Field(default=None, ge=1)
    """Held-out prompts a task, the first ones; all when None."""
    overrides: dict[str, str] = {}
    """`--set` words: trainer keys with the values that replace the definition's, such as tuner.top_k = 100."""
    train_limit: int | None = Field(default=None, ge=1)
    """Training pairs a task, the first ones; all when None."""
    quality: Quality = "clean"
    data: Path | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)
    sampling: Sampling = Sampling()
    dtype: str = "auto"
    """One of torch's, or "auto", which a run settles before it begins: what the device is quick in."""
    trust_remote_code: bool = False
    utility: tuple[str, ...] = ()
    """Tasks of lm-eval, or of goodvibe_bench/utility, that every model is put to."""
    utility_limit: int | None = Field(default=None, ge=1)
    """Questions a utility task, the first ones; all when None."""
    utility_margin: float = Field(default=2.0, ge=0, lt=100)
    """Points of a utility metric that one is ready to lose."""
    push: str | None = None
    """The hub's repository that the trained model goes to."""
    report_to: Literal["trackio", "wandb", "mlflow"] | None = None
    """Where transformers' trainer reports its steps."""
    output: Path = Path("results")
    scratch: Path = Path(".runs")
    share: str | None = None
    """URL, of those that fsspec knows, that finished stages and results are copied to, and looked for first."""


PLACES = {"output", "scratch", "share"}
"""Where things lie, which decides no sample either."""
BESIDE = {"utility", "utility_limit", "utility_margin", "push", "report_to"}
"""What decides no sample, and so is no part of a result's config."""


class Show(Protocol):
    """How the pipeline reports what it does."""

    def __call__(self, stage: str, done: int, total: int, text: str = "", seconds: float | None = None) -> None: ...
    def line(self, text: str) -> None: ...
