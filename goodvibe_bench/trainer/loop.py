"""The training loop: transformers' Trainer around an objective, and its account of tokens, seconds and memory.

It knows neither tuners nor tasks: it steps whatever parameters require grad.
"""

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from accelerate.utils import gather_object
from accelerate.utils.memory import should_reduce_batch_size
from torch.distributed.tensor import DTensor
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments

from goodvibe_bench import disk
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.halving import Halving
from goodvibe_bench.model.load import best_dtype
from goodvibe_bench.objective.cross_entropy import IGNORED
from goodvibe_bench.objective.training import Training
from goodvibe_bench.trainer import processes
from goodvibe_bench.trainer.memory import peak_memory
from goodvibe_bench.trainer.order import FILLER, ByLength, Rows

ACCOUNT = "account.json"


class Objective(Protocol):
    """How examples become a batch, and a batch a summed loss over `weight(batch)` parts: those whose label in
    batch["labels"] is not IGNORED."""

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]: ...
    def loss(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor: ...
    def weight(self, batch: dict[str, torch.Tensor]) -> int: ...
    def kept(self, batch: dict[str, torch.Tensor]) -> int: ...


@dataclass
class Account:
    """What the loop saw: steps, real and padded tokens, seconds, peak bytes above the start, losses by step."""

    steps: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    losses: list[float] = field(default_factory=list)
    batches: list[tuple[int, int, int]] = field(default_factory=list)
    """(rows, padded length, positions with logits) of every forward pass."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the loop was set to beside Training, by the names of PEFT's method comparison."""


class _Loop(Trainer):
    """transformers' Trainer with the objective's loss."""

    objective: Objective
    account: Account
    halving: Halving
    order: ByLength
    step = -1
    begun: list[dict[str, Any]]
    """The micro-batches of the step that is under way."""

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
        return loss * self.accelerator.num_processes / num_items_in_batch  # processes are averaged afterwards

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Do one micro-batch; where it does not fit, the step begins anew with every micro-batch of it in halves.

        The gradients are then the same sums. Processes that train together step in step, so there it is an error.
        """
        if self.step != self.state.global_step:
            self.step, self.begun = self.state.global_step, []
        while True:
            try:
                loss = self._parts(model, inputs, num_items_in_batch)
                break
            except RuntimeError as error:
                if processes.count() > 1 or not should_reduce_batch_size(error):
                    raise
            self.halving.shrink(min(len(inputs["input_ids"]), self.halving.limit or len(inputs["input_ids"])))
            model.zero_grad()
            for before in self.begun:
                self._parts(model, before, num_items_in_batch)
        self.begun.append(inputs)
        self._count(inputs)
        return loss

    def _parts(self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None) -> torch.Tensor:
        """Add the gradients of a micro-batch, on as many rows at once as fit; return its loss."""
        rows = len(inputs["input_ids"])
        size = self.halving.limit or rows
        parts = [{key: value[at : at + size] for key, value in inputs.items()} for at in range(0, rows, size)]
        return torch.stack([super(_Loop, self).training_step(model, part, num_items_in_batch) for part in parts]).sum()

    def _count(self, inputs: dict[str, Any]) -> None:
        """Take a micro-batch into the account, as it was meant: halves are padded alike, and fillers are padding."""
        mask = inputs["attention_mask"]
        trained = (inputs["labels"] != IGNORED).reshape(len(mask), -1).any(1)
        self.account.tokens += int(mask[trained].sum())
        self.account.padded_tokens += mask.numel()
        self.account.batches.append((mask.shape[0], mask.shape[1], self.objective.kept(inputs)))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the schedule; a training of one step is not all warmup, which would leave the weights as they are."""
        if num_training_steps == 1:
            self.args.warmup_steps = 0
        return super().create_scheduler(num_training_steps, optimizer)

    def ended_with(self, checkpoint: Path) -> int | None:
        """Load the weights of a checkpoint after which no step is left and return its steps; None for any other one.

        Trainer would do one step more where epochs are not whole. (What FSDP wrote only its own `train` can load.)
        """
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        if state.global_step < state.max_steps or self.is_fsdp_enabled:
            return None
        self._load_from_checkpoint(str(checkpoint))
        return state.global_step

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return self.order

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Any:
        """Return the loss parts of a whole step: over its micro-batches, and over all processes."""
        count = torch.tensor(sum(self.objective.weight(batch) for batch in batch_samples), device=device)
        return cast(torch.Tensor, self.accelerator.gather(count)).sum()


def _order(examples: list[dict[str, Any]], training: Training, seed: int) -> ByLength:
    """Return the order of the examples: the same whatever the processes, so that a step has the same on any number."""
    alike = min(training.micro_batch_size, training.batch_size)
    fill = processes.count() * micro_batch(training) if processes.count() > 1 else 1
    return ByLength([len(row["input_ids"]) for row in examples], alike, seed, fill)


def _collate(objective: Objective, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Return the objective's batch, in which rows that only fill it have no loss."""
    batch = objective.collate(rows)
    batch["labels"][torch.tensor([FILLER in row for row in rows])] = IGNORED
    return batch


class _Watch(TrainerCallback):
    """Reports each step's loss, stops at one that is not finite, and keeps the account with checkpoints.

    It also has the rows' order follow the epochs.
    """

    def __init__(
        self,
        account: Account,
        order: ByLength,
        progress: Callable[[int, int, float], None],
        peak: Callable[[], int],
    ) -> None:
        self.account = account
        self.order = order
        self.progress = progress
        self.peak = peak
        self.started = time.monotonic() - account.seconds

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell the order its epoch: where several processes go on within one, Trainer does not reach it."""
        self.order.set_epoch(int(state.epoch or 0))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise _diverged(f"the loss is {loss} at step {state.global_step}")
            self.account.losses.append(loss)
            self.progress(state.global_step, state.max_steps, loss)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the account, of all processes, last: a checkpoint without it was cut off while it was written."""
        self.account.seconds = time.monotonic() - self.started
        self.account.peak_memory_bytes = max(self.account.peak_memory_bytes, self.peak())
        whole = _gathered(self.account)
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / ACCOUNT
        if state.is_world_process_zero:
            disk.write_text(path, json.dumps(asdict(whole) | {"files": _sizes(path.parent)}))


def fit(
    model: Any,
    objective: Objective,
    examples: list[dict[str, Any]],
    training: Training,
    *,
    seed: int,
    scratch: Path,
    progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
    report_to: str | None = None,
    peak: Callable[[], int] | None = None,
) -> Account:
    """Train `model` in place on `examples` and return the account.

    `peak` tells the most memory so far, of all that is to be counted; the loop's own is measured where it is None.

    Batches are grouped by length; a step's loss is the mean over all its loss parts, whatever the micro-batches and
    processes; each row is trained once an epoch. A checkpoint in `scratch` is gone on from, to the same final weights.
    Raises FloatingPointError on a loss or a weight that is not finite, UsageError as `micro_batch` does.
    """
    checkpoint, account = last_checkpoint(scratch)
    if not processes.is_first():  # what came before the start is in the first one's account
        account.tokens, account.padded_tokens, account.batches = 0, 0, []
    with nullcontext(peak) if peak is not None else peak_memory(model.device) as highest:
        watch = _Watch(account, _order(examples, training, seed), progress, highest)
        loop = _loop(model, objective, examples, _arguments(model, training, seed, scratch, report_to), watch)
        account.settings = _settings(loop, model)
        model.train()
        steps = loop.ended_with(checkpoint) if checkpoint else None
        if steps is None:
            steps = int(loop.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None).global_step)
            account.seconds = time.monotonic() - watch.started
        account.peak_memory_bytes = max(account.peak_memory_bytes, highest())
    account.steps = steps
    model.eval()
    if not all(_finite(weight) for weight in model.parameters() if weight.requires_grad):
        raise _diverged("the last step left weights that are no numbers")
    return _gathered(account)


def _loop(
    model: Any, objective: Objective, examples: list[dict[str, Any]], arguments: TrainingArguments, watch: _Watch
) -> _Loop:
    """Return the loop, with the account and the order of the one that watches it."""
    loop = _Loop(
        model=model,
        args=arguments,
        train_dataset=Rows(examples),
        data_collator=partial(_collate, objective),
        callbacks=[watch],
    )
    loop.pop_callback(_printer(loop))
    loop.objective, loop.account, loop.halving = objective, watch.account, Halving("training")
    loop.order = watch.order
    loop.model_accepts_loss_kwargs = True
    return loop


def _settings(loop: _Loop, model: Any) -> dict[str, Any]:
    """Return the model's dtype (adapters are float32), mixed precision, seed, clipping, optimizer and schedule."""
    optimizer, words = loop.get_optimizer_cls_and_kwargs(loop.args, model)
    words = {key: list(value) if isinstance(value, tuple) else value for key, value in words.items()}
    return {
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "use_amp": loop.args.bf16,
        "seed": loop.args.seed,
        "grad_norm_clip": loop.args.max_grad_norm,
        "optimizer_type": optimizer.__name__,
        "optimizer_kwargs": words | {"weight_decay": loop.args.weight_decay},
        "lr_scheduler": str(getattr(loop.args.lr_scheduler_type, "value", loop.args.lr_scheduler_type)),
    }


def _diverged(how: str) -> FloatingPointError:
    return FloatingPointError(f"The training diverged: {how}. Lower the learning rate (training.learning_rate).")


def _finite(weight: Any) -> bool:
    own = weight.to_local() if isinstance(weight, DTensor) else weight  # this process' part
    return bool(torch.isfinite(own).all())


def _gathered(account: Account) -> Account:
    """Return the account with what the other processes saw; every process must call it."""
    if processes.count() == 1:
        return account
    seen = gather_object([(account.tokens, account.padded_tokens, account.batches)])
    return replace(
        account,
        tokens=sum(tokens for tokens, _, _ in seen),
        padded_tokens=sum(padded for _, padded, _ in seen),
        batches=[batch for _, _, batches in seen for batch in batches],
    )


def last_checkpoint(scratch: Path) -> tuple[Path | None, Account]:
    """Return the last whole checkpoint in `scratch` and the account up to it, or None and an empty account."""
    ended = [path.parent for path in scratch.glob(f"checkpoint-*/{ACCOUNT}")]
    for last in sorted(ended, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        words = json.loads((last / ACCOUNT).read_text())
        if words.pop("files") == _sizes(last):
            return last, Account(**words | {"batches": [tuple(batch) for batch in words["batches"]]})
    return None, Account()


def _sizes(checkpoint: Path) -> dict[str, int]:
    """Return the bytes of a checkpoint's files but its account: a power cut may leave some of them empty."""
    files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != ACCOUNT]
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in sorted(files)}


def micro_batch(training: Training) -> int:
    """Return the rows of one forward pass: the most, up to those asked for, that a process' share of a step divides by.

    Raises UsageError where the processes do not divide a step.
    """
    share, rest = divmod(training.batch_size, processes.count())
    if rest:
        raise UsageError(
            f"A step of {training.batch_size} examples cannot be shared by {processes.count()} processes. Start as "
            "many as divide it, or set training.batch_size to a multiple of them."
        )
    return next(rows for rows in range(min(training.micro_batch_size, share), 0, -1) if share % rows == 0)


def _arguments(model: Any, training: Training, seed: int, scratch: Path, report_to: str | None) -> TrainingArguments:
    micro = micro_batch(training)
    words = TrainingArguments(
        output_dir=str(scratch),
        learning_rate=training.learning_rate,
        num_train_epochs=training.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=training.batch_size // (processes.count() * micro),
        warmup_steps=training.warmup_ratio,
        lr_scheduler_type=training.schedule,
        weight_decay=training.weight_decay,
        gradient_checkpointing=training.checkpointing is True,
        bf16=next(model.parameters()).dtype == torch.float32 and _trains_all(model) and best_dtype()[0] == "bfloat16",
        use_cpu=model.device.type == "cpu",
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=training.save_every,
        save_total_limit=2,
        report_to=[report_to] if report_to else [],
        disable_tqdm=True,
        seed=seed,
        data_seed=seed,
        dataloader_pin_memory=model.device.type == "cuda",
    )
    # One process trains on one device: with more in sight Trainer would wrap the model in DataParallel, whose replicas
    # get a part each of every tensor, of the places with logits too.
    words._n_gpu = min(words.n_gpu, 1)
    return words


def _trains_all(model: Any) -> bool:
    return all(weight.requires_grad for weight in model.parameters())


def _printer(loop: Trainer) -> Any:
    """Return the callback class that prints logs to standard output; progress is reported by _Watch alone."""
    from transformers.trainer_callback import PrinterCallback

    present = [type(callback) for callback in loop.callback_handler.callbacks]
    return PrinterCallback if PrinterCallback in present else type(None)
