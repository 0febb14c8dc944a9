"""Language models: find, load, render prompts, digest. It trains nothing and generates nothing."""

from goodvibe_bench.model.source import CARRIED, known_as, locate

__all__ = ["CARRIED", "known_as", "locate"]
