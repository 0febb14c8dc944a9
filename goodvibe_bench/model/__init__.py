"""Language models: find, load, render prompts, digest. It trains nothing and generates nothing."""

from goodvibe_bench.model.source import CARRIED, locate

__all__ = ["CARRIED", "locate"]
