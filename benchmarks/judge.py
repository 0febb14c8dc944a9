"""The model judge side by side with what a user would write: snippets a second, and whether verdicts agree.

    python benchmarks/judge.py --snippets 200 --repeats 3 --output benchmarks/judge.json

All ways ask the same model the same questions about the same snippets, in one process, each
snippet once a repeat; repeats are interleaved and medians shown:

- generate: `model.generate(max_new_tokens=1)`, one snippet after another. The first way, and the measure of the others.
- pipeline: transformers' own `pipeline("text-generation", batch_size=16, max_new_tokens=1)`, in the order given.
- ours, no prefix: our scorer without the reuse of the instruction's keys and values.
- ours: the scorer as `judge` uses it; what it prepares once a model is counted in.
- ours, warm cache: every score is read from the cache's file.

The first two may say only "0" or "1" (`prefix_allowed_tokens_fn`; a fitted judge's likeliest token can be neither), so
their verdict is the likelier digit; that of ours is p_unsafe at threshold 1/2: the same question. Verdicts can differ
where both digits are about as likely: in bfloat16 the others' logits come in steps of 1/16 and tie, and layers round
otherwise at other lengths. How far from 1/2 our p_unsafe is where a verdict differs is shown. It asserts nothing: it
measures.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TASKS = ("cpp", "java", "swift", "go")
PIPELINE_BATCH = 16
Way = Callable[[], list[float]]
"""One pass over all snippets: p_unsafe of each, 0.0 or 1.0 where the way says a digit."""


def snippets(count: int, seed: int) -> list[str]:
    """Return a seeded sample of the sides of the bundled tasks' pairs."""
    from goodvibe_bench.task import load

    pairs = [pair for name in TASKS for part in load(name).pairs.values() for pair in part]
    sides = sorted({side for pair in pairs for side in (pair.secure, pair.insecure)})
    return random.Random(seed).sample(sides, min(count, len(sides)))  # noqa: S311


def by_generate(loaded: Any, texts: Sequence[str], max_code_tokens: int) -> Way:
    """Return the way that generates one token at a time."""
    import torch

    from goodvibe_bench.objective.verdict import choice_ids, encode

    choices = choice_ids(loaded.tokenizer)

    def run() -> list[float]:
        found: list[float] = []
        for text in texts:
            ids = torch.tensor([encode(loaded.tokenizer, text, max_code_tokens)], device=loaded.device)
            said = loaded.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=1,
                do_sample=False,
                pad_token_id=loaded.tokenizer.pad_token_id,
                prefix_allowed_tokens_fn=lambda row, before: list(choices),
            )[0, -1]
            found.append(float(choices.index(int(said))))
        return found

    return run


def by_pipeline(loaded: Any, texts: Sequence[str], max_code_tokens: int) -> Way:
    """Return the way of transformers' text-generation pipeline; it gets the questions as text."""
    from transformers import GenerationConfig, pipeline

    from goodvibe_bench.objective.verdict import choice_ids, encode

    choices = choice_ids(loaded.tokenizer)
    asks = pipeline("text-generation", model=loaded.model, tokenizer=loaded.tokenizer)
    words = GenerationConfig(max_new_tokens=1, do_sample=False, pad_token_id=loaded.tokenizer.pad_token_id)

    def run() -> list[float]:
        questions = [loaded.tokenizer.decode(encode(loaded.tokenizer, text, max_code_tokens)) for text in texts]
        said = asks(
            questions,
            batch_size=PIPELINE_BATCH,
            generation_config=words,
            return_full_text=False,
            clean_up_tokenization_spaces=False,
            add_special_tokens=False,
            prefix_allowed_tokens_fn=lambda row, before: list(choices),
        )
        return [float(one[0]["generated_text"].strip()) for one in said]

    return run


def by_ours(loaded: Any, texts: Sequence[str], max_code_tokens: int, *, reuse_prefix: bool) -> Way:
    """Return our way, with or without the shared beginning computed once."""
    from goodvibe_bench.judge.model import Scorer

    return lambda: list(Scorer(loaded, max_code_tokens, reuse_prefix=reuse_prefix).probabilities(texts))


def by_cache(loaded: Any, texts: Sequence[str], max_code_tokens: int, folder: Path) -> Way:
    """Return our way with a cache that the first repeat of "ours" has filled; it is opened anew each time."""
    from goodvibe_bench.judge.cache import cached
    from goodvibe_bench.judge.model import probabilities

    def score(missing: Sequence[str]) -> list[float]:
        return probabilities(loaded, missing, max_code_tokens)

    cached(score, folder, "benchmark")(texts)
    return lambda: list(cached(score, folder, "benchmark")(texts))


def measure(ways: dict[str, Way], repeats: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return seconds of every repeat of each way, interleaved, and what each way said last."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, list[float]] = {}
    for repeat in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            said[name] = way()
            seconds[name].append(time.perf_counter() - started)
            sys.stderr.write(f"{repeat + 1}/{repeats} {name}: {seconds[name][-1]:.2f} s\n")
    return seconds, said


def rows(seconds: dict[str, list[float]], said: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Return the figures of each way; verdicts are compared with those of "ours"."""
    ours = said["ours"]
    floor = statistics.median(seconds["generate"])
    piped = statistics.median(seconds["pipeline"])
    found = {}
    for name, spent in seconds.items():
        median = statistics.median(spent)
        differ = [abs(b - 0.5) for a, b in zip(said[name], ours, strict=True) if (a >= 0.5) != (b >= 0.5)]
        found[name] = {
            "snippets_per_second": len(ours) / median,
            "x_generate": floor / median,
            "x_pipeline": piped / median,
            "verdicts": len(ours),
            "same_verdicts": len(ours) - len(differ),
            "farthest_from_half_where_they_differ": max(differ, default=None),
            "seconds": spent,
        }
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the figures as a table."""
    lines = ["| way | snippets/s | x generate | x pipeline | same verdict as ours | farthest from 1/2 where not |"]
    lines.append("|" + " --- |" * 6)
    for name, row in found.items():
        far = row["farthest_from_half_where_they_differ"]
        lines.append(
            f"| {name} | {row['snippets_per_second']:.2f} | {row['x_generate']:.2f} | {row['x_pipeline']:.2f} | "
            f"{row['same_verdicts']} of {row['verdicts']} | {'' if far is None else f'{far:.4f}'} |"
        )
    return "\n".join(lines)


def judge_model(name: str, dtype: str) -> tuple[Any, int]:
    """Return the model of judge `name`, adapter merged, and its limit on code tokens; or the plain model `name`."""
    from goodvibe_bench import catalog
    from goodvibe_bench.errors import UsageError
    from goodvibe_bench.judge.definition import JudgeDefinition, ModelJudge
    from goodvibe_bench.judge.load import weights_folder
    from goodvibe_bench.model.load import load, with_adapter

    try:
        definition = catalog.read("judges", name, JudgeDefinition)
    except UsageError:
        return load(name, dtype=dtype), ModelJudge(kind="model", base=name).max_code_tokens
    spec = definition.content.judge
    if not isinstance(spec, ModelJudge):
        raise UsageError(f"Judge {name!r} asks no model.")
    loaded = load(spec.base, dtype=dtype)
    folder = weights_folder(definition)
    fitted = (folder / "adapter_config.json").is_file()
    return with_adapter(loaded, folder) if fitted else loaded, spec.max_code_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a model judge, or any model (untuned)")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--snippets", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(".runs/benchmark-judge.json"))
    words = parser.parse_args()
    import torch

    loaded, most = judge_model(words.model, words.dtype)
    texts = snippets(words.snippets, words.seed)
    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Way] = {
            "generate": by_generate(loaded, texts, most),
            "pipeline": by_pipeline(loaded, texts, most),
            "ours, no prefix": by_ours(loaded, texts, most, reuse_prefix=False),
            "ours": by_ours(loaded, texts, most, reuse_prefix=True),
            "ours, warm cache": by_cache(loaded, texts, most, Path(folder)),
        }
        seconds, said = measure(ways, words.repeats)
    found = rows(seconds, said)
    state = {
        "model": words.model,
        "dtype": words.dtype,
        "device": str(loaded.device),
        "threads": torch.get_num_threads(),
        "snippets": len(texts),
        "ways": found,
    }
    words.output.parent.mkdir(parents=True, exist_ok=True)
    words.output.write_text(json.dumps(state, indent=1) + "\n")
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
