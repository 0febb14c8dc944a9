"""What a run cost: in the blocks of PEFT's method comparison (run_info, train_info, meta_info), and over seeds.

It measures nothing.
"""

import platform
from collections.abc import Sequence
from typing import Any

from goodvibe_bench.types import Model, Noun, Result, TrainReport


def blocks(
    method: str,
    trainer: dict[str, Any],
    model: Model,
    reports: Sequence[TrainReport],
    tasks: dict[str, str],
    versions: dict[str, str],
    created_at: str,
) -> dict[str, dict[str, Any]]:
    """Return run_info, train_info and meta_info; over several models times, tokens and FLOPs are summed.

    Sizes are in bytes, times in seconds, FLOPs with a multiply-add as 2.
    """
    return {
        "run_info": {
            "created_at": created_at,
            "total_time": _sum(report.attribution_seconds + report.training_seconds for report in reports),
            "experiment_name": f"{model.id}/{method}",
            "train_config": _train_config(trainer, model, reports),
            "peft_config": trainer["tuner"],
            "error_msg": "",
        },
        "train_info": _train_info(reports),
        "meta_info": {
            "model_info": model.model_dump(mode="json"),
            "dataset_info": tasks,
            "package_info": versions,
            "system_info": {
                "system": platform.system(),
                "release": platform.release(),
                "machine": platform.machine(),
                "python": platform.python_version(),
            },
        },
    }


def _train_config(trainer: dict[str, Any], model: Model, reports: Sequence[TrainReport]) -> dict[str, Any]:
    """Return the settings that were trained by: those of the model's preset, where it has one, in the definition's.

    Where something was trained, also what the loop was set to, by PEFT's names; several models part in steps alone.
    """
    settled = trainer["training"] | next((one.details["training"] for one in reports if "training" in one.details), {})
    found: dict[str, Any] = {}
    if reports:
        found = {"model_id": model.id, "max_seq_length": settled["max_length"]}
        found |= {"max_steps": max(report.steps for report in reports)} | reports[0].details.get("loop", {})
    return settled | found | {"presets": trainer["presets"]}


def _train_info(reports: Sequence[TrainReport]) -> dict[str, Any]:
    known = [report.flops for report in reports if report.flops is not None]
    return {
        "status": "success",
        "accelerator_memory_max": max((report.peak_memory_bytes for report in reports), default=0),
        "train_time": _sum(report.training_seconds for report in reports),
        "attribution_time": _sum(report.attribution_seconds for report in reports),
        "file_size": sum(report.adapter_bytes for report in reports),
        "num_trainable_params": max((report.trainable_parameters for report in reports), default=0),
        "num_total_params": max((report.total_parameters for report in reports), default=0),
        "tokens": sum(report.tokens for report in reports),
        "padded_tokens": sum(report.padded_tokens for report in reports),
        "attribution_tokens": sum(report.attribution_tokens for report in reports),
        "flops": sum(flops.training for flops in known) if len(known) == len(reports) else None,
        "attribution_flops": sum(flops.attribution for flops in known) if len(known) == len(reports) else None,
        "flops_counted_ratio": [flops.counted_ratio for flops in known],
        "metrics": [{"train loss": report.last_loss, "fold error": report.fold_error} for report in reports],
    }


def _sum(seconds: Any) -> float:
    return round(sum(seconds), 3)


class Costs(Noun):
    """What training a method took; all None for samples made elsewhere, whose costs nobody knows."""

    trainable_parameters: int | None
    flops: int | None
    """A multiply-add is 2; None also where a model's cost is not known from its shapes."""
    peak_memory_bytes: int | None
    training_seconds: float | None
    """This and FLOPs: the mean over results of all that one's training took, attribution included."""


def costs(results: Sequence[Result]) -> Costs:
    """Return what training a method's results took."""
    if "source" in results[0].config:
        return Costs(trainable_parameters=None, flops=None, peak_memory_bytes=None, training_seconds=None)
    reports = [report for result in results for report in result.training]
    flops = [report.flops.training + report.flops.attribution for report in reports if report.flops]
    seconds = sum(report.training_seconds + report.attribution_seconds for report in reports)
    return Costs(
        trainable_parameters=max((report.trainable_parameters for report in reports), default=0),
        flops=round(sum(flops) / len(results)) if len(flops) == len(reports) else None,
        peak_memory_bytes=max((report.peak_memory_bytes for report in reports), default=0),
        training_seconds=seconds / len(results),
    )
