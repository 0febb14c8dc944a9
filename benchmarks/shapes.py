"""Training steps on a model's shape with random weights: tokens/s, model FLOPs utilisation, peak memory.

    python benchmarks/shapes.py --model qwen3-0.6b
    python benchmarks/shapes.py --model qwen3-8b --trainers goodvibe,lora,lora-r16 --rows 4 --length 1024

No weights are fetched: shapes are those of models/, of a folder's or a hub model's config, and of Qwen3-0.6B. Every
trainer has a process of its own; the step is a forward and backward pass and AdamW's update, logits of the second half
of each row alone. Utilisation is the analytic FLOPs of the step, without those that checkpointing repeats, over the
device's peak (devices.toml); a device that is not there has none. It asserts nothing: it measures.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

TRAINERS = "goodvibe,lora,lora-r16,full"
QWEN3_600M = {
    **{"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16},
    "tie_word_embeddings": True,
}
"""What Qwen/Qwen3-0.6B's config has otherwise than Qwen/Qwen3-8B's."""


def one(words: argparse.Namespace, trainer: str) -> dict[str, Any]:
    """Train some steps by one trainer and return its figures."""
    import torch

    from goodvibe_bench import catalog
    from goodvibe_bench.experiment import devices
    from goodvibe_bench.model.load import best_device, best_dtype
    from goodvibe_bench.trainer import TrainerDefinition, cost
    from goodvibe_bench.trainer.memory import device_name, needs_checkpointing, peak_memory

    spec = catalog.read("trainers", trainer, TrainerDefinition).content.tuner
    config, device, dtype = _config(words.model), best_device(), getattr(torch, best_dtype()[0])
    batch = cost.Batch(words.rows, words.length, words.length // 2)
    shape = cost.Shape.from_config(config, spec)
    with peak_memory(device) as peak:
        model = _attached(config, spec, device, dtype)
        checkpointing = needs_checkpointing(config, spec, batch, dtype, device)
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        seconds = statistics.median(_steps(model, batch, words.steps, dtype)[1:])
        memory = peak()
    here = devices.here()
    tflops = devices.find(here).tflops if here and device.type == "cuda" else None
    flops = cost.training(shape, spec, [batch], distinct=[batch]).total
    return {
        "device": device_name(device),
        "step_seconds": seconds,
        "tokens_per_second": words.rows * words.length / seconds,
        "pflops_a_step": flops / 1e15,
        "utilisation": tflops and flops / seconds / (tflops * 1e12),
        "peak_gib": memory / 2**30,
        "trained": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        "checkpointing": checkpointing,
    }


def _config(name: str) -> Any:
    from goodvibe_bench.plan import read_config

    config = read_config("qwen3-8b" if name == "qwen3-0.6b" else name)
    if name == "qwen3-0.6b":
        config.update(QWEN3_600M)
        config.layer_types = config.layer_types[: config.num_hidden_layers]
    return config


def _attached(config: Any, spec: Any, device: Any, dtype: Any) -> Any:
    """Return a model of random weights, tuned by `spec`; rows and clusters are drawn, for they cost the same."""
    import torch
    from transformers import AutoModelForCausalLM

    from goodvibe_bench.model.linears import target_linears
    from goodvibe_bench.neuron import selection
    from goodvibe_bench.tuner.attach import attach

    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).requires_grad_(False)
    chosen = None
    if spec.kind == "goodvibe":
        rows = {name: layer.out_features for name, layer in target_linears(model, spec.projections).items()}
        drawn = selection.random_profiles(rows, 0)
        chosen = selection.select(drawn, top_k=spec.top_k, random_clusters=spec.clusters and spec.clusters[0])
    return attach(model, spec, chosen).model.train()


def _steps(model: Any, batch: Any, count: int, dtype: Any) -> list[float]:
    """Return the seconds of each of `count` + 1 steps on random tokens; the first one warms up."""
    import torch

    device = model.device
    places = torch.arange(batch.length - batch.kept, batch.length, device=device)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, fused=device.type == "cuda")
    mixed = weights[0].dtype != dtype and len(weights) == len(list(model.parameters()))
    seconds = []
    for _ in range(count + 1):
        tokens = torch.randint(model.config.vocab_size, (batch.rows, batch.length), device=device)
        started = _now(device)
        with torch.autocast(device.type, dtype, enabled=mixed):
            logits = model(input_ids=tokens, logits_to_keep=places, use_cache=False).logits
        labels = tokens[:, places].roll(-1, 1).flatten()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(_now(device) - started)
    return seconds


def _now(device: Any) -> float:
    """Return the time once all that was asked of the device is done."""
    import torch

    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.monotonic()


def table(found: dict[str, dict[str, Any] | None]) -> str:
    """Return the figures as a table; a trainer that ended with an error has none."""
    lines = ["| trainer | trained | step s | tokens/s | PFLOPs a step | utilisation | peak GiB | checkpointing |"]
    lines.append("|" + " --- |" * 8)
    for name, row in found.items():
        if row is None:
            lines.append(f"| {name} | did not end well (its words are above) |" + " |" * 6)
            continue
        share = "" if row["utilisation"] is None else f"{100 * row['utilisation']:.1f}%"
        lines.append(
            f"| {name} | {row['trained']:,} | {row['step_seconds']:.3f} | {row['tokens_per_second']:,.0f} | "
            f"{row['pflops_a_step']:.4f} | {share} | {row['peak_gib']:.2f} | {'yes' if row['checkpointing'] else ''} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen3-0.6b")
    parser.add_argument("--trainers", default=TRAINERS)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=512, help="tokens a row")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        sys.stdout.write("\n" + json.dumps(one(words, words.one)) + "\n")
        return
    found: dict[str, dict[str, Any] | None] = {}
    for trainer in words.trainers.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--one", trainer]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        found[trainer] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
    sys.stdout.write((json.dumps(found, indent=1) if words.json else table(found)) + "\n")


if __name__ == "__main__":
    main()
