"""lm-eval on vLLM: the same answers as on transformers. lm-eval asks for a package named vllm, which the CPU build is not."""

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from goodvibe_bench.engine import settings
from goodvibe_bench.model.load import describe
from goodvibe_bench.model.source import locate
from goodvibe_bench.progress import Show
from goodvibe_bench.utility.harness import backend, evaluate
from tests.short import short_request
from tests.tiny import tiny_folder
from tests.vllm_here import little, need_vllm  # noqa: F401

need_vllm()
pytestmark = [
    pytest.mark.xdist_group("vllm"),
    pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed"),
]


@pytest.fixture
def _named_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the installed build known as vllm, here and in the processes that are started."""
    try:
        version("vllm")
    except PackageNotFoundError:
        folder = tmp_path / "named" / "vllm.dist-info"
        folder.mkdir(parents=True)
        # By the version's suffix vLLM tells which device it was built for.
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {settings.installed()}+cpu\n")
        monkeypatch.syspath_prepend(str(folder.parent))
        monkeypatch.setenv("PYTHONPATH", str(folder.parent))


@pytest.mark.usefixtures("_named_vllm")
def test_lm_eval_on_vllm_answers_as_on_transformers(tmp_path: Path):
    folder = tiny_folder(tmp_path / "qwen3", kind="qwen3", head_dim=32)
    model = describe(locate(str(folder)))
    found = {}
    for name in ("transformers", "vllm"):
        request = short_request(tmp_path, {"model": str(folder), "backend": name, "utility_limit": 8})
        assert backend(request) == {"transformers": "hf", "vllm": "vllm"}[name]
        found[name] = evaluate(request, str(folder), model, "small_choice", Show(quiet=True))["samples"]
    assert found["vllm"] == found["transformers"]
    assert {len(one) for one in found["vllm"]["small_choice"]["correct"].values()} == {8}
    assert len(list((tmp_path / "scratch" / "utility").glob("*.json"))) == 2, "answers of two backends are kept apart"
