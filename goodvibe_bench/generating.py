"""The generate stage: what a backend can do, whose answers they are, and completions drawn once and kept.

It is the one place that knows how backends differ. It extracts no code and judges nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from pathlib import Path

from goodvibe_bench import catalog, types
from goodvibe_bench.engine import Engine, process
from goodvibe_bench.engine import settings as engines
from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.generator import GENERATORS
from goodvibe_bench.model import locate
from goodvibe_bench.model.source import check as check_model
from goodvibe_bench.request import Request, Show
from goodvibe_bench.result import share, store
from goodvibe_bench.trainer.definition import TrainerDefinition
from goodvibe_bench.types import Completion, Task

SERVED = "openai"
"""The backend that asks a server, and so has no weights to train or to digest."""


AUTO = "auto"
"""What is asked for by default: vLLM where it is worth its start, else transformers."""
VLLM = "vllm"
"""The backend that runs weights in an engine of its own."""


def settle(request: Request, show: Show) -> Request:
    """Return the request with a backend and a dtype in place of "auto", and say in a line each which and why."""
    request = settle_dtype(request, show)
    if request.backend != AUTO:
        return request
    backend, why = choice()
    show.line(f"backend: {backend}, since {why}")
    return request.model_copy(update={"backend": backend})


def settle_dtype(request: Request, show: Show) -> Request:
    """Return the request with a dtype in place of "auto", and say in one line which and why.

    Raises UsageError for a dtype that is not known.
    """
    from goodvibe_bench.model.load import best_dtype, check_dtype

    if request.dtype != AUTO:
        check_dtype(request.dtype)
        return request
    dtype, why = best_dtype()
    show.line(f"dtype: {dtype}, since {why}")
    return request.model_copy(update={"dtype": dtype})


def choice() -> tuple[str, str]:
    """Return the backend that "auto" stands for on this machine, and why."""
    if engines.installed() is None:
        return "transformers", "vLLM is not installed"
    from goodvibe_bench.model.load import best_device

    device = best_device().type
    if device == "cuda":  # also what torch calls AMD's
        return VLLM, "it is installed and there is a GPU"
    where = "on a CPU" if device == "cpu" else f"on {device}"
    return "transformers", f"vLLM, which is installed, is taken {where} only when asked for: --backend {VLLM}"


def check(request: Request, trainers: Sequence[catalog.Definition[TrainerDefinition]]) -> None:
    """Raise UsageError for an unknown backend, and for one that does not fit the rest of the request."""
    if request.backend not in GENERATORS:
        raise UsageError(f"Unknown backend {request.backend!r}. {nearest(request.backend, list(GENERATORS))}")
    if request.backend != SERVED:
        check_model(request.model)
    if request.engine is not None and VLLM not in {request.backend, request.judge_backend}:
        raise UsageError(
            f"--model_args {', '.join(sorted(request.engine.model_fields_set))}: for --backend {VLLM} alone."
        )
    if VLLM in {request.backend, request.judge_backend}:
        _check_engine(request)
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


def _check_engine(request: Request) -> None:
    """Raise UsageError where vLLM or the devices that the settings ask for are not there."""
    if engines.installed() is None:
        option = "backend" if request.backend == VLLM else "judge_backend"
        raise UsageError(f"--{option} {VLLM} needs vLLM: {engines.INSTALL}.")
    import torch

    engine = request.engine or Engine()
    wanted = engine.tensor_parallel_size * engine.data_parallel_size
    there = torch.accelerator.device_count() if torch.accelerator.is_available() else None
    if there is not None and wanted > there:
        raise UsageError(
            f"tensor_parallel_size x data_parallel_size = {wanted} needs as many devices, and there are {there}."
        )


def versions(request: Request) -> dict[str, str]:
    """Return the versions of what only this request's backend runs on."""
    used = VLLM in {request.backend, request.judge_backend}
    return {VLLM: engines.installed() or "unknown"} if used else {}


def serves_adapters(request: Request) -> bool:
    """Return whether trained models answer as adapters, from one engine that stays, and not as folded checkpoints."""
    return request.backend == VLLM and request.engine is not None and request.engine.max_lora_rank > 0


def base_model(request: Request) -> types.Model:
    """Return the noun of the model that the request names: served by its server, else of weights found or fetched.

    Raises UsageError where there are no such weights.
    """
    if request.backend == SERVED and request.server is not None:
        return request.server.describe(request.model)
    source = locate(request.model, request.revision)
    from goodvibe_bench.model.load import describe

    return describe(source)


def generate(
    request: Request,
    name: str,
    model: types.Model,
    tasks: Sequence[Task],
    show: Show,
    adapter: Path | None = None,
) -> list[Completion]:
    """Return a completion for every held-out prompt and attempt, of the model (a folder or name) `name`.

    With `adapter`, a folder, it answers as that over the request's own model.

    Those drawn before are read, not drawn again; one that failed is not kept, so that the next run asks again. Of two
    runs at once one draws, and the other waits for it.
    """
    prompts = [prompt for task in tasks for prompt in task.prompts]
    key = _key(request, model, prompts, adapter)
    url = None if request.backend == SERVED else request.share  # another machine's localhost is another server
    path = store.writable(request.scratch / "completions") / f"{key}.jsonl"
    wanted = [(prompt.id, attempt) for prompt in prompts for attempt in range(request.sampling.attempts)]
    with store.alone(request.scratch / "locks" / f"{key}.lock", lambda: show.line("waiting: another run generates")):
        share.fetch_rows(url, path)
        # The first of two answers to one question counts: it is what was said before, whatever came over since.
        drawn = {(found.prompt_id, found.attempt): found for found in reversed(store.kept(path, Completion))}
        if any(sample not in drawn for sample in wanted):
            show("generate", len(drawn), len(wanted), model.trained_by or "base")

            def tell(rows: int, tokens: int) -> None:
                words = f"{rows} at once: token {tokens} of at most {request.sampling.max_new_tokens}"
                show("generate", len(drawn), len(wanted), words, sum(found.seconds for found in drawn.values()))

            draws = generator(request, name, frozenset(drawn), adapter, tell)
            try:
                for completion in draws.generate(prompts):
                    _take(completion, drawn, path)
                    words = f"{sum(found.tokens for found in drawn.values())} tokens"
                    show("generate", len(drawn), len(wanted), words, sum(found.seconds for found in drawn.values()))
            finally:
                if not serves_adapters(request):
                    process.stop()  # what comes next needs the memory
        share.send_rows(url, path)
    found = [drawn[sample] for sample in wanted]
    _say_failed(found, show)
    return found


def _key(request: Request, model: types.Model, prompts: Sequence[types.Prompt], adapter: Path | None) -> str:
    """Return a digest of all that decides the answers."""
    words = [model.digest, request.dtype, request.sampling.model_dump(), request.backend, catalog.plain(prompts)]
    if request.backend == VLLM:
        words += [(request.engine or Engine()).deciding(), versions(request), adapter is not None]
    if request.backend != SERVED:
        words.append(catalog.versions(*catalog.MODEL_LIBRARIES))
    return catalog.digest([*words, catalog.code_digest("model", "generator", "engine")])


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


def generator(
    request: Request,
    name: str,
    kept: Collection[tuple[str, int]] = frozenset(),
    adapter: Path | None = None,
    tell: Callable[[int, int], None] = lambda rows, tokens: None,
) -> types.Generator:
    """Return what draws completions, all but those `kept` (prompt id and attempt); batches come whole.

    `tell` is called with rows and tokens of the batch at hand, by a backend whose answers come only at its end.
    """
    module = import_module(GENERATORS[request.backend])
    if request.backend == SERVED:
        return module.OpenAIGenerator(request.server, request.model, request.sampling, kept)
    if request.backend == VLLM:
        from goodvibe_bench.model.load import on_disk

        name = request.model if adapter else name
        return module.VllmGenerator(
            on_disk(name, revision=request.revision, trust_remote_code=request.trust_remote_code),
            request.sampling,
            kept,
            dtype=request.dtype,
            engine=request.engine or Engine(),
            trust_remote_code=request.trust_remote_code,
            adapter=adapter,
        )
    from goodvibe_bench.model.load import load

    loaded = load(name, revision=request.revision, dtype=request.dtype, trust_remote_code=request.trust_remote_code)
    return module.TransformersGenerator(loaded, request.sampling, kept, progress=tell)
