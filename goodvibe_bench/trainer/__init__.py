"""Trainers: a definition (tuner, objective, hyper-parameters) turns a model and pairs into a trained model."""

from goodvibe_bench.trainer.definition import TrainerDefinition

__all__ = ["TrainerDefinition"]
