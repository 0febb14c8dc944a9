"""What the documents say must be so."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main
import yaml

from goodvibe_bench import catalog
from goodvibe_bench.cli import app
from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.neuron import store
from goodvibe_bench.neuron.selection import select
from goodvibe_bench.task import load
from goodvibe_bench.trainer.definition import TrainerDefinition
from tests.tiny import tiny_model

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
FENCED = [block for text in PAGES.values() for block in re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]
COMMANDS = [
    line.partition("#")[0].strip()
    for block in FENCED
    for line in block.splitlines()
    if line.startswith("goodvibe-bench ")
]


def test_the_pages_show_commands():
    assert len(PAGES) >= 2
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_a_page_shows_is_one(command: str):
    words = shlex.split(command)[1:]
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands") and words:  # a group may also do something by itself
        assert words[0] in found.commands, words[0]
        found = found.commands[words.pop(0)]
    options = {name for parameter in found.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
    if "--method" in words:
        methods = words[words.index("--method") + 1].split(",")
        assert set(methods) - {"X", "Y"} <= set(catalog.names("trainers"))
    if "--judge" in words:
        assert set(words[words.index("--judge") + 1].split(",")) - {"NAME"} <= set(catalog.names("judges"))


def _commands(group: Any, *words: str) -> list[tuple[str, Any]]:
    below = [found for name, one in getattr(group, "commands", {}).items() for found in _commands(one, *words, name)]
    return [(" ".join(words), group), *below]


@pytest.mark.parametrize(("name", "command"), _commands(typer.main.get_command(app)))
def test_no_help_text_has_words_in_square_brackets_which_rich_would_leave_out(name: str, command: Any):
    texts = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
    assert not [text for text in texts if re.search(r"\[[a-z]", text or "")], name


@pytest.mark.parametrize(
    "path",
    sorted(
        {page.parent / link for page, text in PAGES.items() for link in re.findall(r"\]\(((?!http)[^)#]+)\)", text)}
    ),
)
def test_every_link_leads_to_a_file(path: Path):
    assert path.exists()


def test_the_makefile_has_the_commands_that_the_readme_names():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", "\n".join(FENCED), re.MULTILINE)) <= targets


@pytest.mark.parametrize("task", catalog.names("tasks"))
def test_every_task_has_a_data_card_and_its_counts_are_true(task: str):
    folder = ROOT / "tasks" / task
    card = (folder / "README.md").read_text()
    for heading in ("## Limits", "## Licence", "checked"):
        assert heading in card
    for file, words in {
        "prompts": "held-out generation prompts",
        "pairs": "training pairs",
        "calibration": "single",
    }.items():
        if (folder / f"{file}.jsonl").exists():
            count = len((folder / f"{file}.jsonl").read_text().splitlines())
            assert f"`{file}.jsonl`: {count} {words}" in card


def test_the_action_hands_every_input_to_the_check_command():
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    check: Any = typer.main.get_command(app).commands["check"]  # type: ignore[attr-defined]
    options = {name for parameter in check.params for name in parameter.opts}
    script = action["runs"]["steps"][-1]
    for name in action["inputs"].keys() - {"python-version", "result"}:
        assert f"--{name}" in options
        assert f"--{name} " in script["run"]
    variables = {name.upper().replace("-", "_") for name in action["inputs"].keys() - {"python-version"}}
    assert set(script["env"]) == variables
    assert all(f'"${name}"' in script["run"] for name in variables)
    assert "${{" not in script["run"], "inputs are untrusted: they reach the shell as variables only"


def test_the_workflow_runs_what_the_makefile_has():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands == ["bash .ci/run", "make gate"]
    assert re.search(r"^gate:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_judges_page_has_the_figures_of_the_cards():
    path = ROOT / "benchmarks" / "judge_table.py"
    tables = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert len(tables.split("\n\n")) == 4
    for table in tables.strip().split("\n\n"):
        assert table in (ROOT / "docs" / "judges.md").read_text()


def test_the_costs_that_the_readme_names_are_those_of_their_page():
    section = README.partition("\n## What training costs\n")[2].partition("\n## ")[0]
    named = re.findall(r"\d+\.\d+", section.replace("SmolLM2", ""))
    page = (ROOT / "docs" / "costs.md").read_text()
    assert len(named) >= 8
    assert [number for number in named if not re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", page)] == []
    assert "(docs/costs.md)" in section


def test_no_placeholder_is_left():
    assert not re.search(r"@[A-Z_]+@|TODO|FIXME", "".join(PAGES.values()))


def test_the_task_and_the_trainer_that_the_page_of_own_parts_shows_are_read(tmp_path: Path):
    """Rows have the keys that the page calls needed, and no others."""
    page = (ROOT / "docs" / "own.md").read_text()
    task, trainer = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "task.toml").write_text(task)
    (tmp_path / "mine.toml").write_text(trainer)
    for file in ("prompts", "pairs", "calibration"):
        (line,) = re.findall(rf"^\| `{file}\.jsonl`.*", page, re.MULTILINE)
        cell = line.split("|")[3].partition("(`")[0]
        rows = (ROOT / "tasks" / "go" / f"{file}.jsonl").read_text().splitlines()[:6]
        kept = [{key: json.loads(row)[key] for key in re.findall(r"`(\w+)`", cell)} for row in rows]
        (tmp_path / f"{file}.jsonl").write_text("\n".join(map(json.dumps, kept)))
    found = load(str(tmp_path / "task.toml"))
    assert (found.language, len(found.prompts), len(found.cases)) == ("go", 6, 6)
    assert catalog.read("trainers", str(tmp_path / "mine.toml"), TrainerDefinition).content.training.epochs == 3


def test_the_readmes_python_runs_in_a_process_of_its_own(tmp_path: Path):
    """Two rows of one layer of a tiny model are tuned, saved and loaded."""
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    loaded = tiny_model(tmp_path / "model")
    layers = target_linears(loaded.model, ("q_proj",))
    scores = {name: torch.rand(4, layer.out_features) for name, layer in layers.items()}
    note = {key: key for key in store.NOTE} | {"samples": "4", "half_overlap": "0.9", "shapes": "[]"}
    store.write(tmp_path / "neurons.safetensors", select(scores, top_k=2), scores, note)
    program = f"MODEL, NEURONS = {str(tmp_path / 'model')!r}, {str(tmp_path / 'neurons.safetensors')!r}\n{block}"
    program += "print(sorted(again.peft_config), again.peft_config['default'].peft_type)\n"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "GOODVIBE" in done.stdout
