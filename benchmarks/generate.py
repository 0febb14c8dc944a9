"""Our backends side by side with what a user would write, on the same prompts: seconds from start to last answer.

    python benchmarks/generate.py --model smollm2-135m --prompts 32 --tokens 200 --repeats 3

Every way runs in a process of its own, greedy, with the same template, dtype and limit; repeats are interleaved.

- vllm: our generator, whose engine is a further process.        chat: vLLM's own `LLM.chat`.
- transformers: our generator.       lm-eval: `generate_until` of lm-eval's `hf` model with the same batch size.

Seconds are of the whole process, imports and loading included, and of generating alone (for vllm and chat: from when
the engine is there). `ratio` is ours over the other's, median by median. `--pairs vllm` or `--pairs transformers` runs
one pair alone. It asserts nothing: it measures, and tells how busy the machine was.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAIRS = {"vllm": "chat", "transformers": "lm-eval"}
"""Ours, and what it is measured against."""
BATCH = 16


def prompts(count: int) -> list[Any]:
    """Return held-out prompts of the bundled tasks."""
    from goodvibe_bench.task import load

    found = [prompt for name in ("cpp", "java", "swift", "go") for prompt in load(name).prompts]
    return found[:: max(1, len(found) // count)][:count]


def by_vllm(job: dict[str, Any]) -> Any:
    """Yield once when the engine is there, then the number of tokens of all answers."""
    from goodvibe_bench.engine import process
    from goodvibe_bench.generator.sampling import Sampling
    from goodvibe_bench.generator.vllm import VllmGenerator
    from goodvibe_bench.model.load import on_disk

    ours = VllmGenerator(on_disk(job["model"]), Sampling(max_new_tokens=job["tokens"]), dtype=job["dtype"])
    asked = prompts(job["prompts"])
    samples = [(prompt, 0) for prompt in asked]
    process.running(ours.served(samples, [ours.ask(sample, ()) for sample in samples]))
    yield 0
    yield sum(one.tokens for one in ours.generate(asked))
    process.stop()


def by_chat(job: dict[str, Any]) -> Any:
    """The same of vLLM's own interface."""
    from vllm import LLM, SamplingParams

    from goodvibe_bench.model import locate
    from goodvibe_bench.model.load import best_device

    folder, eager = str(locate(job["model"]).folder), best_device().type == "cpu"
    model = LLM(folder, dtype=job["dtype"], max_model_len=job["room"], enforce_eager=eager)
    yield 0
    found = model.chat(
        [[{"role": "user", "content": prompt.text}] for prompt in prompts(job["prompts"])],
        SamplingParams(temperature=0, max_tokens=job["tokens"]),
        chat_template_kwargs={"enable_thinking": False},
        use_tqdm=False,
    )
    yield sum(len(one.outputs[0].token_ids) for one in found)


def by_transformers(job: dict[str, Any]) -> Any:
    from goodvibe_bench.generator.sampling import Sampling
    from goodvibe_bench.generator.transformers import TransformersGenerator
    from goodvibe_bench.model.load import load

    sampling = Sampling(max_new_tokens=job["tokens"], batch_size=BATCH)
    ours = TransformersGenerator(load(job["model"], dtype=job["dtype"]), sampling)
    yield 0
    yield sum(one.tokens for one in ours.generate(prompts(job["prompts"])))


def by_lm_eval(job: dict[str, Any]) -> Any:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from goodvibe_bench.model import chat, locate
    from goodvibe_bench.model.load import best_device

    found: Any = HFLM
    folder, device = str(locate(job["model"]).folder), str(best_device())
    model = found(pretrained=folder, dtype=job["dtype"], batch_size=BATCH, device=device, add_bos_token=False)
    yield 0
    words = {"until": [], "max_gen_toks": job["tokens"], "do_sample": False}
    asked = [
        Instance(
            request_type="generate_until",
            doc={},
            arguments=(model.tokenizer.decode(chat.render(model.tokenizer, prompt.text)), dict(words)),
            idx=place,
        )
        for place, prompt in enumerate(prompts(job["prompts"]))
    ]
    said = model.generate_until(asked, disable_tqdm=True)
    yield sum(len(model.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in said)


WAYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "vllm": by_vllm,
    "chat": by_chat,
    "transformers": by_transformers,
    "lm-eval": by_lm_eval,
}


def run_one(way: str, job: dict[str, Any], output: Path) -> None:
    """Run one way in this process and write seconds and tokens of generating."""
    steps = WAYS[way](job)
    next(steps)
    start = time.perf_counter()
    tokens = next(steps)
    output.write_text(json.dumps({"tokens": tokens, "generating_seconds": time.perf_counter() - start}))
    next(steps, None)


def timed(way: str, job: dict[str, Any]) -> dict[str, Any]:
    """Return what one way took in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "found.json"
        start = time.perf_counter()
        command = [sys.executable, __file__, "--one", way, "--job", json.dumps(job), "--output", str(output)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return json.loads(output.read_text()) | {"seconds": time.perf_counter() - start, "load": os.getloadavg()[0]}


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return medians of each way, and ours over the other's."""
    keys = ("seconds", "generating_seconds", "tokens")
    medians = {way: {key: statistics.median(run[key] for run in runs) for key in keys} for way, runs in found.items()}
    ratios = {
        ours: {key: round(medians[ours][key] / medians[other][key], 3) for key in keys}
        for ours, other in PAIRS.items()
        if ours in medians
    }
    return {"medians": medians, "ratio": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pairs", default=",".join(PAIRS), help="vllm, transformers")
    parser.add_argument("--output", type=Path, default=Path(".runs/benchmark-generate.json"))
    parser.add_argument("--one", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        run_one(words.one, json.loads(words.job), words.output)
        return
    os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "WARNING", "TOKENIZERS_PARALLELISM": "false"}
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    job = {key: getattr(words, key) for key in ("model", "dtype", "prompts", "tokens")} | {"room": 1024}
    ways = [way for ours in words.pairs.split(",") for way in (ours, PAIRS[ours])]
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for repeat in range(words.repeats):
        for way in ways:
            found[way].append(timed(way, job))
            sys.stderr.write(f"{repeat + 1}/{words.repeats} {way}: {found[way][-1]}\n")
    result = {"job": job, "cores": os.cpu_count(), "runs": found, **summary(found)}
    words.output.parent.mkdir(parents=True, exist_ok=True)
    words.output.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(json.dumps(summary(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
