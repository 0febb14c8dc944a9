"""vLLM as a process of its own: settings (settings.py), the side that asks (process.py) and the one that answers.

Generator and judge ask it in token ids; no template and no text is known in here.
"""

from goodvibe_bench.engine.settings import Engine

__all__ = ["Engine"]
