"""Generators: prompts to completions. Each kind is one module; GENERATORS names them, so that none loads before use."""

GENERATORS = {
    "transformers": "goodvibe_bench.generator.transformers",
    "vllm": "goodvibe_bench.generator.vllm",
    "openai": "goodvibe_bench.generator.openai",
}
"""Backends that a model runs on. The doubles `scripted` and `recorded` are handed in by callers."""

__all__ = ["GENERATORS"]
