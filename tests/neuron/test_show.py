import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch

from goodvibe_bench.errors import UsageError
from goodvibe_bench.neuron import selection, show, store
from goodvibe_bench.neuron.attribution import Profiles
from tests.conftest import Call
from tests.neuron.test_store import NAMES, note, written


@pytest.fixture
def file(tmp_path: Path) -> store.NeuronFile:
    return written(tmp_path / "n.safetensors")[1]


def stored(tmp_path: Path, profiles: Profiles, **options) -> store.NeuronFile:
    chosen = selection.select(profiles, top_k=12, **options)
    store.write(tmp_path / "other.safetensors", chosen, profiles, note())
    return store.read(tmp_path / "other.safetensors")


def test_a_row_a_module_says_what_share_of_rows_and_importance_it_holds(file: store.NeuronFile):
    rows = show.rows(file, show.choose(file, None))
    assert [(row["layer"], row["projection"]) for row in rows] == [
        (layer, leaf) for layer in (0, 2, 10) for leaf in ("q_proj", "k_proj")
    ]
    assert (rows[0]["rows"], rows[0]["of_rows"], rows[0]["share_of_rows"]) == (5, 20, 0.25)
    assert all(row["share_of_rows"] < row["importance_mass"] < 1 for row in rows), "the best rows hold more than theirs"


@pytest.mark.parametrize(
    ("patterns", "count"),
    [(["q_proj"], 3), (["layers.0.*"], 2), (["q_proj", "layers.0.*"], 4), ([NAMES[3]], 1), (["*"], 6)],
)
def test_patterns_match_a_path_from_a_dot_on(file: store.NeuronFile, patterns: list[str], count: int):
    assert len(show.choose(file, patterns)) == count


def test_a_pattern_that_matches_nothing_is_refused(file: store.NeuronFile):
    with pytest.raises(UsageError, match=r"'q_prj'.*Did you mean 'q_proj'"):
        show.choose(file, ["k_proj", "q_prj"])


def test_the_summary_counts_and_says_where_from(file: store.NeuronFile):
    line = show.summary(file, show.choose(file, ["q_proj"]))
    assert line.startswith("3 modules: 15 of 60 rows (25.00%)")
    assert "of 6 snippets, whose halves agree on 90%" in line


def test_the_summary_says_how_many_snippets_were_cut(tmp_path: Path):
    for cut, said in (("0", False), ("4", True)):
        file = written(tmp_path / "n", cut=cut, max_code_tokens="512")[1]
        line = show.summary(file, show.choose(file, None))
        assert (", 4 of them longer than 512 tokens and read without their middle" in line) is said


def test_unknown_figures_are_none(tmp_path: Path):
    profiles = selection.random_profiles({NAMES[0]: 9}, 0)
    chosen = selection.select(profiles, top_k=3, clusters=None)
    store.write(tmp_path / "r", chosen, profiles, note(samples="0", half_overlap=""))
    file = store.read(tmp_path / "r")
    (row,) = show.rows(file, list(file.selection))
    assert row["importance_mass"] is row["silhouette"] is None
    assert "nothing read" in show.summary(file, list(file.selection))


def test_a_figure_has_a_panel_a_module_with_its_silhouette(file: store.NeuronFile, tmp_path: Path):
    drawn = show.draw(file, None, tmp_path / "f.svg")
    assert drawn == [NAMES[0], NAMES[2], NAMES[4]], "first, middle and last q_proj"
    text = (tmp_path / "f.svg").read_text()
    ElementTree.fromstring(text)
    for name in drawn:
        layer = name.split(".")[2]
        assert f"layer {layer}, q_proj: silhouette {file.selection[name].silhouette:.2f}" in text


def test_a_figure_has_no_empty_panel(file: store.NeuronFile, tmp_path: Path):
    assert len(show.draw(file, ["q_proj", "layers.0.*"], tmp_path / "f.svg")) == 4
    text = (tmp_path / "f.svg").read_text()
    assert [f'id="axes_{panel}"' in text for panel in (4, 5, 6)] == [True, False, False]


def test_a_figure_is_a_png_too(file: store.NeuronFile, tmp_path: Path):
    assert len(show.draw(file, ["*"], tmp_path / "f.PNG")) == 6
    assert (tmp_path / "f.PNG").read_bytes().startswith(b"\x89PNG")


def test_without_q_proj_the_best_silhouettes_are_drawn(tmp_path: Path):
    generator = torch.Generator().manual_seed(1)
    names = [f"model.layers.{layer}.mlp.up_proj" for layer in range(5)]
    file = stored(tmp_path, {name: torch.rand(6, 20, generator=generator) for name in names})
    drawn = show.draw(file, None, tmp_path / "f.png")
    silhouettes = {name: found.silhouette for name, found in file.selection.items()}
    assert drawn == sorted(silhouettes, key=lambda name: -silhouettes[name])[:3]


@pytest.mark.parametrize(
    ("profile", "options"),
    [
        (torch.rand(1, 20), {}),
        (torch.ones(6, 20), {}),
        (torch.rand(6, 1), {}),
        (torch.rand(6, 20) * 1e-9, {"clusters": None}),
        (torch.rand(6, 20), {"min_silhouette": 1.0, "on_low_silhouette": "freeze"}),
    ],
    ids=["one sample", "equal rows", "one row", "a cluster a row", "no rows"],
)
def test_odd_modules_are_drawn(tmp_path: Path, profile: torch.Tensor, options: dict):
    file = stored(tmp_path, {NAMES[0]: profile}, **options)
    assert show.draw(file, None, tmp_path / "f.png") == [NAMES[0]]


def test_an_unknown_suffix_is_refused_and_nothing_written(file: store.NeuronFile, tmp_path: Path):
    with pytest.raises(UsageError, match=r"\.png or \.svg.*f\.pdf"):
        show.draw(file, None, tmp_path / "f.pdf")
    assert not (tmp_path / "f.pdf").exists()


def test_a_folder_that_is_not_there_is_refused(file: store.NeuronFile, tmp_path: Path):
    with pytest.raises(UsageError, match="Cannot write the figure"):
        show.draw(file, None, tmp_path / "none" / "f.png")


def test_too_many_panels_are_refused(tmp_path: Path):
    names = [f"model.layers.{layer}.self_attn.q_proj" for layer in range(show.MOST_PANELS + 1)]
    file = stored(tmp_path, {name: torch.rand(4, 5) for name in names})
    with pytest.raises(UsageError, match="13 modules match"):
        show.draw(file, ["q_proj"], tmp_path / "f.png")


def test_the_command_prints_a_row_a_module_and_draws(call: Call, file: store.NeuronFile, tmp_path: Path):
    code, out, err = call(
        "neurons", "show", str(tmp_path / "n.safetensors"), "--modules", "q_proj", "--figure", str(tmp_path / "n.svg")
    )
    assert code == 0, err
    assert out.count("q_proj") >= 3
    assert "k_proj" not in out
    assert ElementTree.parse(tmp_path / "n.svg").getroot().tag.endswith("svg")
