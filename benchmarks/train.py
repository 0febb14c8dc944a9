"""Training side by side: GoodVibe against stock peft LoRA under TRL's SFTTrainer, our LoRA, full, and frozen floors.

    python benchmarks/train.py --repeats 3 --output benchmarks/train.json

Every trainer gets the same model, pairs, epochs and learning rate schedule, in a process of its own, so that peak
memory is its own; repeats are interleaved, and medians are shown. Wall seconds are those of training, attribution
included, evaluation and loading left out. Step times are measured apart, interleaved in one process. It asserts
nothing: it measures.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OURS = ("goodvibe", "goodvibe-random-rows", "goodvibe-top8", "lora", "lora-r16", "lora-top8", "full")
STOCK = {"trl-lora-r2": 2, "trl-lora-r16": 16, "trl-lora-r16-own-rate": 16}
"""Ranks; the last one keeps the learning rate and the schedule that TRL comes with."""
AGAINST = "trl-lora-r16"
COLUMNS = ("wall_seconds", "attribution_seconds", "pflops", "peak_gib", "heldout_loss", "trained", "tokens_per_second")


def data(limit: int | None) -> tuple[list[Any], list[Any]]:
    """Return the training pairs (raw, as in the paper) and held-out pairs of other near-twin groups (clean)."""
    from goodvibe_bench.task import load

    raw, clean = load("cybernative-cpp", quality="raw"), load("cybernative-cpp")
    return list(raw.pairs["tuner-train"][:limit]), list(clean.pairs["judge-train"] + clean.pairs["calibration"])


def one(name: str, limit: int | None, model: str, rate: float) -> dict[str, Any]:
    """Train by one trainer and return its figures."""
    from goodvibe_bench.model.load import load
    from goodvibe_bench.objective.sft import SftObjective

    pairs, heldout = data(limit)
    loaded = load(model, dtype=_dtype())
    with tempfile.TemporaryDirectory() as folder:
        figures = (_stock if name in STOCK else _ours)(name, loaded, pairs, Path(folder), rate)
    return figures | {"heldout_loss": SftObjective(loaded.tokenizer).mean_loss(loaded.model, heldout)}


def _ours(name: str, loaded: Any, pairs: list[Any], folder: Path, rate: float) -> dict[str, Any]:
    from goodvibe_bench import catalog
    from goodvibe_bench.trainer import TrainerDefinition
    from goodvibe_bench.trainer.train import train

    definition = catalog.read("trainers", name, TrainerDefinition).content
    definition = definition.with_overrides({"training.learning_rate": str(rate if name != "full" else rate / 10)})
    report = train(loaded, definition, pairs, seed=0, scratch=folder)
    if report.flops is None:
        raise ValueError("the cost of this model is not known from its shapes")
    return {
        "wall_seconds": report.training_seconds + report.attribution_seconds,
        "attribution_seconds": report.attribution_seconds,
        "pflops": (report.flops.training + report.flops.attribution) / 1e15,
        "peak_gib": report.peak_memory_bytes / 2**30,
        "trained": report.trainable_parameters,
        "tokens_per_second": report.tokens_per_second,
        "fold_error": report.fold_error,
    }


def _stock(name: str, loaded: Any, pairs: list[Any], folder: Path, rate: float) -> dict[str, Any]:
    """Train with TRL's SFTTrainer and peft's LoraConfig as they come, but for what the comparison fixes."""
    import torch
    import trl
    from datasets import Dataset
    from peft import LoraConfig

    from goodvibe_bench.model import chat
    from goodvibe_bench.trainer.memory import peak_memory
    from goodvibe_bench.types import PROJECTIONS

    tokenizer = loaded.tokenizer
    end = tokenizer.decode([chat.end_of_turn(tokenizer)])
    rows = [
        {
            "prompt": tokenizer.decode(chat.render(tokenizer, pair.prompt)),
            "completion": f"```{pair.language}\n{pair.secure.strip()}\n```{end}",
        }
        for pair in pairs
    ]
    same: dict[str, Any] = {"learning_rate": rate, "lr_scheduler_type": "cosine", "warmup_steps": 0.1}
    arguments = trl.SFTConfig(
        output_dir=str(folder),
        num_train_epochs=2,
        **({} if name.endswith("own-rate") else same),
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        bf16=loaded.model.dtype == torch.bfloat16,
        use_cpu=loaded.model.device.type == "cpu",
        dataloader_pin_memory=loaded.model.device.type != "cpu",
    )
    trainer = trl.SFTTrainer(
        model=loaded.model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=STOCK[name], target_modules=list(PROJECTIONS), task_type="CAUSAL_LM"),
    )
    trained = sum(weight.numel() for weight in trainer.model.parameters() if weight.requires_grad)
    shapes: list[tuple[int, int]] = []
    trainer.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: shapes.append(tuple(inputs[0].shape))
    )
    started = time.monotonic()
    with peak_memory(loaded.model.device) as peak:
        trainer.train()
    seconds, memory = _now(loaded.model.device) - started, peak()
    loaded.model = trainer.model.merge_and_unload().eval()
    tokens = 2 * sum(len(tokenizer(row["prompt"] + row["completion"])["input_ids"]) for row in rows)
    return {
        "wall_seconds": seconds,
        "attribution_seconds": 0.0,
        "pflops": _stock_flops(loaded.model.config, STOCK[name], shapes, arguments.gradient_checkpointing),
        "peak_gib": memory / 2**30,
        "trained": trained,
        "tokens_per_second": tokens / seconds,
        "checkpointing": arguments.gradient_checkpointing,
        "learning_rate": arguments.learning_rate,
    }


def _stock_flops(config: Any, rank: int, shapes: list[tuple[int, int]], checkpointing: bool) -> float:
    """Return PFLOPs by our analytic account; TRL forms the logits of every token."""
    from goodvibe_bench.trainer import cost
    from goodvibe_bench.tuner.spec import LoraSpec

    batches = [cost.Batch(rows, length, length) for rows, length in shapes]
    spec = LoraSpec(kind="lora", rank=rank)
    found = cost.training(cost.Shape.from_config(config), spec, batches, checkpointing=checkpointing)
    return found.total / 1e15


def steps(model: str, repeats: int) -> dict[str, float]:
    """Return median seconds of one forward and backward of the same batch, interleaved, relative floors included."""
    import torch

    from goodvibe_bench.model.linears import target_linears
    from goodvibe_bench.neuron import selection
    from goodvibe_bench.objective.sft import SftObjective
    from goodvibe_bench.tuner.attach import attach
    from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec

    pairs, _ = data(None)
    loaded = _quick(model)
    objective = SftObjective(loaded.tokenizer)
    examples = sorted(objective.examples(pairs), key=lambda row: len(row["input_ids"]))
    middle = len(examples) // 2
    device = loaded.model.device
    batch = {key: value.to(device) for key, value in objective.collate(examples[middle : middle + 4]).items()}
    rows = {name: layer.out_features for name, layer in target_linears(loaded.model).items()}
    chosen = selection.select(selection.random_profiles(rows, 0), top_k=50, random_clusters=2)
    models = {"frozen": loaded.model.requires_grad_(False)}
    for name, spec in {
        "goodvibe": GoodVibeSpec(kind="goodvibe"),
        "lora-r2": LoraSpec(kind="lora", rank=2),
        "lora-r16": LoraSpec(kind="lora", rank=16),
        "full": FullSpec(kind="full"),
    }.items():
        models[name] = attach(_quick(model).model, spec, chosen).model
    models["frozen"].get_input_embeddings().register_forward_hook(lambda _m, _i, output: output.requires_grad_(True))
    seconds: dict[str, list[float]] = {}
    for _ in range(repeats + 1):
        for name, tuned in models.items():
            mixed = name == "full" and loaded.model.dtype == torch.bfloat16
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                started = _now(device)
                loss = objective.loss(tuned, batch)
                seconds.setdefault(f"{name} forward", []).append(_now(device) - started)
                loss.backward()
            seconds.setdefault(name, []).append(_now(device) - started)
            tuned.zero_grad(set_to_none=True)
    return {name: statistics.median(found[1:]) for name, found in seconds.items()}


def _quick(model: str) -> Any:
    """Return the model as our loop runs it: stock trainers get it as transformers loads it."""
    from goodvibe_bench.model.cpu import quicken
    from goodvibe_bench.model.load import load

    loaded = load(model, dtype=_dtype())
    quicken(loaded.model, 512)
    return loaded


def _dtype() -> str:
    """Return the machine's own dtype; asking it imports torch."""
    from goodvibe_bench.model.load import best_dtype

    return best_dtype()[0]


def _now(device: Any) -> float:
    """Return the time once all that was asked of the device is done."""
    import torch

    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.monotonic()


def table(results: dict[str, list[dict[str, Any]]], step: dict[str, float]) -> str:
    """Return medians as a table, with each time and FLOP count over that of stock LoRA of rank 16."""
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in COLUMNS} for name, runs in results.items()
    }
    lines = [
        "| trainer | wall s | of which attribution | x | PFLOPs | x | peak GiB | held-out loss | trained | tokens/s |"
    ]
    lines.append("|" + " --- |" * 10)
    floor = medians.get(AGAINST)
    for name, row in sorted(medians.items(), key=lambda item: item[1]["wall_seconds"]):
        times, flops = (f"{row[key] / floor[key]:.2f}" if floor else "" for key in ("wall_seconds", "pflops"))
        lines.append(
            f"| {name} | {row['wall_seconds']:.0f} | {row['attribution_seconds']:.0f} | {times} | "
            f"{row['pflops']:.3f} | "
            f"{flops} | {row['peak_gib']:.2f} | {row['heldout_loss']:.4f} | {row['trained']:,.0f} | "
            f"{row['tokens_per_second']:.0f} |"
        )
    if step:
        lines += ["", "| step | seconds | x frozen |", "| --- | --- | --- |"]
        lines += [f"| {name} | {found:.2f} | {found / step['frozen']:.2f} |" for name, found in step.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--trainers", default=",".join([*OURS, *STOCK]))
    parser.add_argument("--pairs", type=int, help="training pairs, the first ones; all when not given")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step-repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(".runs/benchmark-train.json"))
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of all; full fine-tuning gets a tenth of it")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        figures = (
            steps(words.model, words.step_repeats)
            if words.one == "steps"
            else one(words.one, words.pairs, words.model, words.learning_rate)
        )
        sys.stdout.write("\n" + json.dumps(figures) + "\n")
        return
    asked = {"pairs": words.pairs, "model": words.model, "learning_rate": words.learning_rate, "dtype": _dtype()}
    state = _state(words.output, asked)
    for repeat in range(words.repeats):
        for name in words.trainers.split(","):
            done = state["runs"].setdefault(name, [])
            if len(done) <= repeat:
                done.append(_measured(name, words))
                _keep(words.output, state)
                sys.stderr.write(f"{repeat + 1}/{words.repeats} {name}: {json.dumps(done[-1])}\n")
    if words.step_repeats and not state["steps"]:
        state["steps"] = _measured("steps", words)
        _keep(words.output, state)
    sys.stdout.write(table(state["runs"], state["steps"]) + "\n")


def _state(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what `path` holds of this benchmark, so that one that was stopped goes on; else an empty state."""
    found = json.loads(path.read_text()) if path.is_file() else {}
    same = all(found.get(key) == value for key, value in asked.items())
    return found if found and same else {**asked, "steps": {}, "runs": {}}


def _keep(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(state, indent=1) + "\n")


def _measured(name: str, words: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one trainer, or of the steps, from a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--model", words.model]
    command += ["--step-repeats", str(words.step_repeats), "--learning-rate", str(words.learning_rate)]
    command += ["--pairs", str(words.pairs)] if words.pairs else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
