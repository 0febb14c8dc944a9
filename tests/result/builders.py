"""Records and results with chosen outcomes."""

from typing import Any

from goodvibe_bench.metric.rate import rate
from goodvibe_bench.result import instrument, score
from goodvibe_bench.types import (
    Calibration,
    Code,
    Completion,
    Language,
    Model,
    Outcome,
    Prompt,
    Record,
    Result,
    TrainReport,
    Verdict,
)

LABELS = {Outcome.SECURE: 0, Outcome.INSECURE: 1, Outcome.UNUSABLE: 0, Outcome.UNJUDGED: None}


def record(number: int, outcome: Outcome, task: str = "cpp") -> Record:
    """Return a sample; the judge labels unusable text 0, as a judge that reads refusals as harmless does."""
    unusable = "refusal" if outcome is Outcome.UNUSABLE else None
    language = {"java": "java", "go": "go"}.get(task, "cpp")
    return Record.model_validate(
        {
            "task": task,
            "prompt": Prompt.model_validate({"id": f"{task}-{number}", "language": language, "text": "Write."}),
            "completion": Completion(prompt_id=f"{task}-{number}", text="int x;", stop="end", tokens=3, seconds=0.1),
            "code": Code.model_validate(
                {
                    "text": "int x;",
                    "language": language,
                    "how_extracted": "fence",
                    "parses": unusable is None,
                    "unusable": unusable,
                }
            ),
            "verdict": Verdict.model_validate({"judge": "j", "label": LABELS[outcome], "outcome": outcome}),
        }
    )


def outcomes(secure: int = 0, insecure: int = 0, unusable: int = 0, unjudged: int = 0, task: str = "cpp") -> list[Any]:
    """Return that many samples of each outcome, as a result keeps them."""
    wanted = [Outcome.SECURE] * secure + [Outcome.INSECURE] * insecure
    wanted += [Outcome.UNUSABLE] * unusable + [Outcome.UNJUDGED] * unjudged
    return [score.outcome_row(record(number, outcome, task)) for number, outcome in enumerate(wanted)]


def calibration(language: Language = "cpp", tpr: int = 90, fpr: int = 10) -> Calibration:
    """Return a judge's figures on 100 unsafe and 100 safe snippets."""
    return Calibration(
        language=language, tpr=rate(tpr, 100), fpr=rate(fpr, 100), n=200, threshold=0.5, auc=0.9, ece=0.1
    )


def training(flops: int | None = 4 * 10**15, **words: Any) -> TrainReport:
    """Return an account of a training whose attribution took a quarter of all FLOPs, and a second beside its two."""
    parts = flops and {"training": flops - flops // 4, "attribution": flops // 4, "counted_ratio": 1, "headline": 1}
    fields = {
        **{"trainable_parameters": 300, "total_parameters": 9000, "examples": 2, "steps": 2, "attribution_seconds": 1},
        **{"training_seconds": 2, "tokens": 9, "padded_tokens": 9, "tokens_per_second": 1, "attribution_tokens": 0},
        **{"peak_memory_bytes": 2**30, "adapter_bytes": 9, "first_loss": 2, "last_loss": 1, "fold_error": 0},
    }
    return TrainReport.model_validate(fields | {"flops": parts} | words)


def with_other(rows: list[Any], verdicts: list[Outcome], name: str = "k") -> list[Any]:
    """Return rows that a second judge labelled, too."""
    return [
        row | {"others": {name: {"outcome": str(outcome), "label": LABELS[outcome], "p_unsafe": None}}}
        for row, outcome in zip(rows, verdicts, strict=True)
    ]


def two_judges(rows: list[Any], **words: Any) -> Result:
    """Return a result of judges j and k, both calibrated in C++."""
    j, k = (instrument.block(name, name, [calibration()]) for name in "jk")
    return result(rows, results=score.metrics(rows, [j, k]), judge=j, other_judges=(k,), **words)


def result(rows: list[Any], model: str = "tiny", method: str = "none", **words: Any) -> Result:
    """Return a result over `rows`."""
    fields: dict[str, Any] = {
        "schema_version": score.SCHEMA_VERSION,
        "results": score.metrics(rows),
        "config": {"model": model},
        "versions": {"python": "3"},
        "task_hashes": {"cpp": "0"},
        "date": "2026-01-01T00:00:00+00:00",
        "model": Model(id=model, digest="d"),
        "method": method,
        "seed": 0,
        "judge": {"name": "j", "digest": "d"},
        "outcomes": rows,
        "training": (),
        "run_info": {},
        "train_info": {},
        "meta_info": {},
        "provenance": {},
    }
    return Result.model_validate(fields | words)
