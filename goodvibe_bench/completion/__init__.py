"""From what a model answered to the code in it. It does not run, judge or repair code."""

from goodvibe_bench.completion.extract import extract
from goodvibe_bench.completion.syntax import definitions, parses

__all__ = ["definitions", "extract", "parses"]
