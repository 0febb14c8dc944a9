"""Judges: code to verdicts. Each kind is one module; JUDGES names them, so that none loads before use."""

from goodvibe_bench.judge.definition import JudgeDefinition

__all__ = ["JudgeDefinition"]
