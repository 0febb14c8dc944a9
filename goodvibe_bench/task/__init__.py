"""Tasks: one language's pairs and prompts, loaded, flagged, split without near twins, audited."""

from goodvibe_bench.task.definition import TaskDefinition
from goodvibe_bench.task.load import load

__all__ = ["TaskDefinition", "load"]
