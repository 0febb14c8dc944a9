"""Does tuning make a language model write secure code by default, and at what cost?

Importing this package loads neither torch nor transformers.
"""

from importlib.metadata import version

from goodvibe_bench.errors import UsageError
from goodvibe_bench.types import (
    Code,
    Completion,
    Estimate,
    Generator,
    Judge,
    Outcome,
    Pair,
    Prompt,
    Record,
    Result,
    Task,
    Verdict,
)

__version__ = version("goodvibe-bench")

__all__ = [
    "Code",
    "Completion",
    "Estimate",
    "Generator",
    "Judge",
    "Outcome",
    "Pair",
    "Prompt",
    "Record",
    "Result",
    "Task",
    "UsageError",
    "Verdict",
    "__version__",
]
