"""What is trained: each tuner attaches to a model and folds back into plain weights. It runs no training step."""

from goodvibe_bench.tuner.spec import TunerSpec

__all__ = ["TunerSpec"]
