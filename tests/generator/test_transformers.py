import pytest

from goodvibe_bench.generator.doubles import RecordedGenerator, ScriptedGenerator
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.generator.tokens import completion, render
from goodvibe_bench.generator.transformers import TransformersGenerator
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.types import Completion, Prompt

PROMPTS = [Prompt(id=f"p{i}", language="cpp", text="Write a loop. " * (i + 1)) for i in range(5)]


def texts(loaded: Loaded, **settings: object) -> dict[tuple[str, int], str]:
    generator = TransformersGenerator(loaded, Sampling.model_validate({"max_new_tokens": 12, **settings}))
    return {(c.prompt_id, c.attempt): c.text for c in generator.generate(PROMPTS)}


def test_greedy_answers_do_not_depend_on_the_batch(loaded: Loaded):
    assert texts(loaded, batch_size=1) == texts(loaded, batch_size=3)


def test_every_prompt_gets_its_attempts_and_no_more(loaded: Loaded):
    found = texts(loaded, attempts=2, temperature=1.0)
    assert set(found) == {(f"p{i}", a) for i in range(5) for a in (0, 1)}


def test_sampling_is_seeded(loaded: Loaded):
    one, two, three = (texts(loaded, temperature=1.0, seed=seed) for seed in (1, 1, 2))
    assert one == two != three


def test_the_token_limit_is_reported(loaded: Loaded):
    found = list(TransformersGenerator(loaded, Sampling(max_new_tokens=3)).generate(PROMPTS))
    assert {(c.stop, c.tokens <= 3) for c in found} <= {("length", True), ("end", True)}
    assert any(c.stop == "length" and c.tokens == 3 for c in found)


def test_an_answer_ends_at_the_end_of_turn(loaded: Loaded):
    end = int(loaded.tokenizer.eos_token_id)  # type: ignore[arg-type]
    found = completion(loaded.tokenizer, (PROMPTS[0], 0), [40, 41, end, end], {end}, 0.0)
    assert (found.stop, found.tokens) == ("end", 2)


@pytest.mark.parametrize("thinking", [True, False])
def test_thinking_is_off_unless_asked_for(loaded: Loaded, thinking: bool):
    ids = render(loaded.tokenizer, PROMPTS[0], Sampling(thinking=thinking))
    assert ("</think>" in loaded.tokenizer.decode(ids)) is not thinking


def test_scripted_answers_every_prompt():
    found = list(ScriptedGenerator(lambda prompt: prompt.id.upper()).generate(PROMPTS))
    assert [c.text for c in found] == ["P0", "P1", "P2", "P3", "P4"]


def test_recorded_replays_and_reports_what_is_missing():
    kept = Completion(prompt_id="p1", text="x", stop="end", tokens=1, seconds=0)
    found = list(RecordedGenerator([kept]).generate(PROMPTS[:2]))
    assert [(c.prompt_id, c.stop) for c in found] == [("p0", "error"), ("p1", "end")]


def test_every_token_of_a_batch_is_told(loaded: Loaded):
    told: list[tuple[int, int]] = []
    sampling = Sampling(max_new_tokens=4, batch_size=3)
    generator = TransformersGenerator(loaded, sampling, progress=lambda rows, tokens: told.append((rows, tokens)))
    longest = max(one.tokens for one in generator.generate(PROMPTS))
    for rows in (3, 2):
        counted = [tokens for of, tokens in told if of == rows]
        assert counted == list(range(1, len(counted) + 1))
    assert {rows for rows, _ in told} == {3, 2}
    assert longest == max(tokens for _, tokens in told) == 4
