"""The same prompts through transformers and vLLM: where the answers part, and whether a judge says otherwise then.

It keeps nothing and scores no model: greedy answers of two backends part where two tokens are nearly level, and this
counts how often that happens and whether it matters.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any

from goodvibe_bench.engine import process
from goodvibe_bench.errors import UsageError
from goodvibe_bench.generating import VLLM, check, generator, settle_dtype
from goodvibe_bench.judge import load as judges
from goodvibe_bench.request import Request, Show
from goodvibe_bench.run import judged, loading, prepare
from goodvibe_bench.types import Completion, Noun, Outcome, Record, Task

BACKENDS = ("transformers", VLLM)


class Agreement(Noun):
    """One prompt under both backends."""

    prompt_id: str
    tokens: tuple[int, int]
    """Of the two answers' texts, by the model's own tokenizer."""
    parts_at: int | None
    """The first token that is not the same; None for equal answers."""
    outcomes: tuple[Outcome, Outcome]
    labels: tuple[int | None, int | None]
    """The judge's, 1 = unsafe."""
    p_unsafe: tuple[float | None, float | None]

    @property
    def flipped(self) -> bool:
        return self.labels[0] != self.labels[1]


def compare(request: Request, show: Show) -> list[Agreement]:
    """Return how the two backends agree on every held-out prompt of the request, greedy; the first judge labels both.

    Raises UsageError without vLLM, and for whatever is wrong with model, tasks or judge.
    """
    if request.sampling.temperature > 0 or request.sampling.attempts > 1:
        raise UsageError("Backends are compared by greedy answers, one a prompt: drawn ones differ anyway.")
    check(request.model_copy(update={"backend": VLLM}), [])
    request = settle_dtype(request, show)
    tasks = prepare(request, show)
    judge = judges.load(request.judges[0], loading(request))
    drawn = {backend: _drawn(request, backend, tasks, show) for backend in BACKENDS}
    before, after = (judged(drawn[backend], tasks, judge, show) for backend in BACKENDS)
    from goodvibe_bench.model.load import on_disk

    tokenizer = on_disk(request.model, revision=request.revision, trust_remote_code=request.trust_remote_code).tokenizer
    return [_agreement(tokenizer, one, two) for one, two in zip(before, after, strict=True)]


def _drawn(request: Request, backend: str, tasks: Sequence[Task], show: Show) -> list[Completion]:
    """Return the backend's completions in the order of the prompts. Raises UsageError where one failed."""
    prompts = [prompt for task in tasks for prompt in task.prompts]
    found: dict[str, Completion] = {}
    try:
        for one in generator(request.model_copy(update={"backend": backend}), request.model).generate(prompts):
            found[one.prompt_id] = one
            show("generate", len(found), len(prompts), backend, sum(done.seconds for done in found.values()))
    finally:
        process.stop()
    failed = next((one for one in found.values() if one.stop == "error"), None)
    if failed:
        raise UsageError(f"{backend} gave no answer to prompt {failed.prompt_id!r}: {failed.error}")
    return [found[prompt.id] for prompt in prompts]


def _agreement(tokenizer: Any, before: Record, after: Record) -> Agreement:
    one, two = (
        list(tokenizer(record.completion.text, add_special_tokens=False)["input_ids"]) for record in (before, after)
    )
    return Agreement(
        prompt_id=before.prompt.id,
        tokens=(len(one), len(two)),
        parts_at=parting(one, two),
        outcomes=(before.verdict.outcome, after.verdict.outcome),
        labels=(before.verdict.label, after.verdict.label),
        p_unsafe=(before.verdict.p_unsafe, after.verdict.p_unsafe),
    )


def parting(one: Sequence[int], two: Sequence[int]) -> int | None:
    """Return the first place at which two answers differ, or at which one has ended; None for equal ones."""
    if list(one) == list(two):
        return None
    return next(
        (place for place, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), min(len(one), len(two))
    )


def summary(found: Sequence[Agreement]) -> dict[str, Any]:
    """Return the counts over all prompts. Raises UsageError when there are none."""
    if not found:
        raise UsageError("There are no prompts to compare the backends on.")
    parted = [one.parts_at for one in found if one.parts_at is not None]
    level = sum(max(one.tokens) if one.parts_at is None else one.parts_at for one in found)
    return {
        "prompts": len(found),
        "equal_answers": len(found) - len(parted),
        "tokens_before_parting": level,
        "tokens": sum(max(one.tokens) for one in found),
        "median_first_divergence": median(parted) if parted else None,
        "verdict_flips": sum(one.flipped for one in found),
        "outcome_changes": sum(one.outcomes[0] != one.outcomes[1] for one in found),
    }


def rows(found: Sequence[Agreement]) -> list[dict[str, Any]]:
    """Return one row a prompt, as `doctor backends` prints them."""
    return [
        {
            "prompt": one.prompt_id,
            "tokens": " / ".join(map(str, one.tokens)),
            "parts at": "-" if one.parts_at is None else one.parts_at,
            "outcome": " / ".join(dict.fromkeys(one.outcomes)),
            "p_unsafe": " / ".join("-" if p is None else f"{p:.3f}" for p in one.p_unsafe),
        }
        for one in found
    ]
