"""The numbers of a training loop. No torch in here."""

from typing import Literal, Self

from pydantic import Field, model_validator

from goodvibe_bench.types import Noun


class Training(Noun):
    """Hyper-parameters of the loop (section 4.2, 5.1)."""

    learning_rate: float = Field(default=1e-4, gt=0)
    epochs: float = Field(default=2, gt=0)
    batch_size: int = Field(default=8, ge=1)
    """Examples a step."""
    micro_batch_size: int = Field(default=4, ge=1)
    """Examples a forward pass; the rest of the step is accumulated."""
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(default=1024, ge=16)
    """Examples with more tokens than this are left out, and counted."""
    checkpointing: bool | Literal["auto"] = "auto"
    """Gradient checkpointing: less memory for half as many FLOPs again; "auto" where a step would not fit without."""
    save_every: int = Field(default=25, ge=1)
    """Steps between two checkpoints; a killed training goes on from the last one."""

    @model_validator(mode="after")
    def _micro_batches_fill_a_step(self) -> Self:
        if self.batch_size % min(self.micro_batch_size, self.batch_size):
            raise ValueError("batch_size must be a multiple of micro_batch_size")
        return self
