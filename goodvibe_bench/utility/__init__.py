"""What a tuned model can still do besides writing secure code: lm-eval's tasks, and the loss on fixed texts.

lm-eval does the measuring, in a process of its own. Differences between models are result/utility.py's.
"""

from goodvibe_bench.utility.harness import check
from goodvibe_bench.utility.measure import block

__all__ = ["block", "check"]
