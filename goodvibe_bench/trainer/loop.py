"""The training loop: transformers' Trainer around an objective, and its account of tokens, seconds and memory.

It knows neither tuners nor tasks: it steps whatever parameters require grad.
"""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from goodvibe_bench.objective.training import Training


class Objective(Protocol):
    """How examples become a batch, and a batch a summed loss over `weight(batch)` parts."""

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]: ...
    def loss(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor: ...
    def weight(self, batch: dict[str, torch.Tensor]) -> int: ...


@dataclass
class Account:
    """What the loop saw: steps, real and padded tokens, seconds, peak bytes above the start, losses by step."""

    steps: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    losses: tuple[float, ...] = ()


class _Loop(Trainer):
    """transformers' Trainer with the objective's loss."""

    objective: Objective
    account: Account

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        loss = self.objective.loss(model, inputs)
        if num_items_in_batch is None:
            num_items_in_batch = self.objective.weight(inputs)
        mask = inputs["attention_mask"]
        self.account.tokens += int(mask.sum())
        self.account.padded_tokens += mask.numel()
        return loss / num_items_in_batch

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Any:
        return torch.tensor(sum(self.objective.weight(batch) for batch in batch_samples), device=device)


class _Rows(Dataset[dict[str, Any]]):
    """Examples as the data set that Trainer wants."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.rows[place]


class _Watch(TrainerCallback):
    """Reports each step's loss and refuses to go on from one that is not finite."""

    def __init__(self, progress: Callable[[int, int, float], None]) -> None:
        self.progress = progress
        self.losses: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            loss = float(logs["loss"])
            if not torch.isfinite(torch.tensor(loss)):
                raise FloatingPointError(f"the loss is {loss} at step {state.global_step}; lower the learning rate")
            self.losses.append(loss)
            self.progress(state.global_step, state.max_steps, loss)


def fit(
    model: Any,
    objective: Objective,
    examples: list[dict[str, Any]],
    training: Training,
    *,
    seed: int,
    scratch: Path,
    progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> Account:
    """Train `model` in place on `examples` and return the account.

    Batches are grouped by length; a step's loss is the mean over all its loss parts, whatever the micro-batches.
    Raises FloatingPointError on a loss that is not finite.
    """
    arguments = _arguments(model, training, seed, scratch)
    watch = _Watch(progress)
    loop = _Loop(
        model=model, args=arguments, train_dataset=_Rows(examples), data_collator=objective.collate, callbacks=[watch]
    )
    loop.pop_callback(_printer(loop))
    loop.objective, loop.account = objective, Account()
    loop.model_accepts_loss_kwargs = True
    model.train()
    start = time.monotonic()
    with peak_memory(model.device) as peak:
        done = loop.train()
    model.eval()
    account = loop.account
    account.seconds = time.monotonic() - start
    account.steps = int(done.global_step)
    account.losses = tuple(watch.losses)
    account.peak_memory_bytes = peak()
    return account


def _arguments(model: Any, training: Training, seed: int, scratch: Path) -> TrainingArguments:
    micro = min(training.micro_batch_size, training.batch_size)
    return TrainingArguments(
        output_dir=str(scratch),
        learning_rate=training.learning_rate,
        num_train_epochs=training.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=training.batch_size // micro,
        warmup_steps=training.warmup_ratio,
        lr_scheduler_type=training.schedule,
        weight_decay=training.weight_decay,
        gradient_checkpointing=training.checkpointing,
        bf16=next(model.parameters()).dtype == torch.float32 and _trains_all(model),
        use_cpu=model.device.type == "cpu",
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=seed,
        data_seed=seed,
        dataloader_pin_memory=model.device.type == "cuda",
    )


def _trains_all(model: Any) -> bool:
    return all(weight.requires_grad for weight in model.parameters())


def _printer(loop: Trainer) -> Any:
    """Return the callback class that prints logs to standard output; progress is reported by _Watch alone."""
    from transformers.trainer_callback import PrinterCallback

    present = [type(callback) for callback in loop.callback_handler.callbacks]
    return PrinterCallback if PrinterCallback in present else type(None)


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """Yield a function that returns the peak of memory in bytes above the level at the start.

    On a CUDA device that is the allocator's, elsewhere the process's resident set (Linux resets its peak).
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        yield lambda: int(torch.cuda.max_memory_allocated(device) - start)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    start = _resident("VmRSS")
    yield lambda: max(0, _resident("VmHWM") - start)


def _resident(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
