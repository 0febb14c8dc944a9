"""The command line. commands.py holds its commands, judge.py and neurons.py those of their groups."""

from goodvibe_bench.cli.commands import app, main

__all__ = ["app", "main"]
