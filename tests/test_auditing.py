from pathlib import Path

import pytest

from goodvibe_bench.auditing import audit
from goodvibe_bench.progress import Show
from goodvibe_bench.task.rows import DATA_VARIABLE
from goodvibe_bench.types import LANGUAGES


@pytest.fixture(scope="module")
def tables() -> tuple[list[dict], list[dict]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(DATA_VARIABLE, raising=False)
        return audit(None, Show(quiet=True))


def test_every_two_parts_of_every_bundled_task_and_its_contrast_sets_are_compared(tables) -> None:
    crossings, _ = tables
    # Three parts of pairs and the held-out prompts: six comparisons a task, and four with the contrast sets.
    assert len(crossings) == (6 + 4) * len(LANGUAGES)
    assert {row["left"].split()[0] for row in crossings} == set(LANGUAGES)
    assert sum(row["right"].startswith("contrast.d/") for row in crossings) == 4 * len(LANGUAGES)


def test_bundled_tasks_and_contrast_sets_share_no_twin(tables) -> None:
    assert [row for row in tables[0] if row["exact"] or row["near"]] == []
    # Held-out prompts have no code, contrast sets no prompts: nothing of the two can be alike.
    apart = [row for row in tables[0] if row["left"].endswith("held-out") and row["right"].startswith("contrast.d/")]
    assert all(float(row["closest"]) == 0 for row in apart)
    assert all(0 < float(row["closest"]) < 0.9 for row in tables[0] if row not in apart)


def test_the_style_of_every_task_is_measured(tables) -> None:
    assert {row["task"] for row in tables[1]} == set(LANGUAGES)
    assert all(0.3 < float(row["style_auc"]) < 0.65 for row in tables[1])


def test_other_data_at_hand_is_compared_as_well(tmp_path: Path) -> None:
    import json

    from goodvibe_bench.task.load import load_rows

    stolen = load_rows("cpp")[1].pairs[0]
    (tmp_path / "sven").mkdir()
    row = {
        "id": "x",
        "language": "cpp",
        "secure": stolen.secure,
        "insecure": "int other;",
        "source": "s",
        "commit": "c",
    }
    (tmp_path / "sven" / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    crossings, _ = audit(tmp_path, Show(quiet=True))
    assert sum(row["exact"] for row in crossings if row["right"] == "sven/pairs.jsonl") == 1
