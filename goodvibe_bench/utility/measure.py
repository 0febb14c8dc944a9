"""The utility stage: all of a method's models on all utility tasks, and what they forgot. It compares nothing."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from goodvibe_bench import types
from goodvibe_bench.request import Request, Show
from goodvibe_bench.utility import forgetting, harness


def block(
    request: Request, base: types.Model, models: Sequence[tuple[str, types.Model, Sequence[str]]], show: Show
) -> dict[str, Any]:
    """Return a result's `utility`, for every model (its folder or name, its noun, its languages).

    Empty where no task is asked for and nothing was trained.
    """
    found = [_of(request, base, name, model, languages, show) for name, model, languages in models]
    if not any(one["tasks"] or one["forgetting"] for one in found):
        return {}
    settings: dict[str, Any] = {"dtype": request.dtype, "margin": request.utility_margin / 100}
    if request.utility:
        settings |= {"lm_eval": version("lm-eval"), "backend": harness.backend(request), "limit": request.utility_limit}
    return {"settings": settings, "models": found}


def _of(
    request: Request, base: types.Model, name: str, model: types.Model, languages: Sequence[str], show: Show
) -> dict[str, Any]:
    tasks = {task: harness.evaluate(request, name, model, task, show) for task in request.utility}
    forgotten: dict[str, Any] = {}
    if model.trained_by is not None:
        show("forgetting", 0, 2, model.trained_by)
        forgotten["before"] = forgetting.loss(request, request.model, base)
        forgotten["after"] = forgetting.loss(request, name, model)
        show("forgetting", 2, 2, model.trained_by)
    return {"digest": model.digest, "languages": list(languages), "tasks": tasks, "forgetting": forgotten}
