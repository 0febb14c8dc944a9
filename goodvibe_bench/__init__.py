"""Does tuning make a language model write secure code by default, and at what cost?

Importing this package loads neither torch nor transformers, and its nouns when one is asked for: pytest reads the
package at every start, for the sake of `plugin.py`.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'errors' if name == 'UsageError' else 'types'}"), name)
