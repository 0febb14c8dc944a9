"""The generate stage: what a backend can do, whose answers they are, and completions drawn once and kept.

It is the one place that knows how backends differ. It extracts no code and judges nothing.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path

from goodvibe_bench import catalog, types
from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.generator import GENERATORS
from goodvibe_bench.model import locate
from goodvibe_bench.request import Request, Show
from goodvibe_bench.result import store
from goodvibe_bench.trainer.definition import TrainerDefinition
from goodvibe_bench.types import Completion, Task

SERVED = "openai"
"""The backend that asks a server, and so has no weights to train or to digest."""


def check(request: Request, trainers: Sequence[catalog.Definition[TrainerDefinition]]) -> None:
    """Raise UsageError for an unknown backend, and for one that does not fit the rest of the request."""
    if request.backend not in GENERATORS:
        raise UsageError(f"Unknown backend {request.backend!r}. {nearest(request.backend, list(GENERATORS))}")
    if request.backend != SERVED:
        if request.server is not None:
            raise UsageError(f"--base_url is for --backend {SERVED}; {request.backend!r} asks no server.")
        return
    if request.server is None:
        raise UsageError(f"--backend {SERVED} needs a server: --base_url http://localhost:8000/v1")
    trained = [trainer.name for trainer in trainers if trainer.content.tuner.kind != "none"]
    if trained:
        raise UsageError(
            f"--backend {SERVED} has no weights that {', '.join(trained)} could train. Use --method none, or "
            "--backend transformers."
        )
    import_module(GENERATORS[SERVED])


def base_model(request: Request) -> types.Model:
    """Return the noun of the model that the request names: served by its server, else of weights found or fetched.

    Raises UsageError where there are no such weights.
    """
    if request.backend == SERVED and request.server is not None:
        return request.server.describe(request.model)
    source = locate(request.model, request.revision)
    from goodvibe_bench.model.load import describe

    return describe(source)


def generate(request: Request, name: str, model: types.Model, tasks: Sequence[Task], show: Show) -> list[Completion]:
    """Return a completion for every held-out prompt and attempt, of the model (a folder or name) `name`.

    Those drawn before are read, not drawn again; one that failed is not kept, so that the next run asks again. Of two
    runs at once one draws, and the other waits for it.
    """
    prompts = [prompt for task in tasks for prompt in task.prompts]
    words = [model.digest, request.dtype, request.sampling.model_dump(), request.backend, catalog.plain(prompts)]
    key = catalog.digest([*words, catalog.code_digest("model", "generator")])
    path = store.writable(request.scratch / "completions") / f"{key}.jsonl"
    wanted = [(prompt.id, attempt) for prompt in prompts for attempt in range(request.sampling.attempts)]
    with store.alone(request.scratch / "locks" / f"{key}.lock", lambda: show.line("waiting: another run generates")):
        drawn = {(found.prompt_id, found.attempt): found for found in store.kept(path, Completion)}
        if any(sample not in drawn for sample in wanted):
            show("generate", len(drawn), len(wanted), model.trained_by or "base")
            for completion in _generator(request, name, frozenset(drawn)).generate(prompts):
                _take(completion, drawn, path)
                words = f"{sum(found.tokens for found in drawn.values())} tokens"
                show("generate", len(drawn), len(wanted), words, sum(found.seconds for found in drawn.values()))
    found = [drawn[sample] for sample in wanted]
    _say_failed(found, show)
    return found


def _take(completion: Completion, drawn: dict[tuple[str, int], Completion], path: Path) -> None:
    """Keep a completion, unless it was drawn before and comes again because its batch did, or there is no answer."""
    sample = (completion.prompt_id, completion.attempt)
    if sample not in drawn:
        drawn[sample] = completion
        if completion.stop != "error":
            store.keep(path, [completion])


def _say_failed(completions: Sequence[Completion], show: Show) -> None:
    reasons = Counter(found.error or "no reason known" for found in completions if found.stop == "error")
    if reasons:
        why = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
        show.line(
            f"generate: {reasons.total()} of {len(completions)} requests failed and stay unjudged ({why}). "
            "The same command asks them again."
        )


def _generator(request: Request, name: str, kept: Collection[tuple[str, int]]) -> types.Generator:
    """Return what draws completions, all but those `kept` (prompt id and attempt); batches come whole."""
    module = import_module(GENERATORS[request.backend])
    if request.backend == SERVED:
        return module.OpenAIGenerator(request.server, request.model, request.sampling, kept)
    from goodvibe_bench.model.load import load

    loaded = load(name, revision=request.revision, dtype=request.dtype, trust_remote_code=request.trust_remote_code)
    return module.TransformersGenerator(loaded, request.sampling, kept)
