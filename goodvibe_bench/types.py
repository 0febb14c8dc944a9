"""The nouns of the project and its one-method protocols. It holds no behaviour and imports no file of ours."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, NotRequired, Protocol

from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema
from typing_extensions import TypedDict

Language = Literal["cpp", "java", "swift", "go"]
LANGUAGES: tuple[Language, ...] = ("cpp", "java", "swift", "go")
Part = Literal["tuner-train", "judge-train", "calibration", "held-out"]
PARTS: tuple[Part, ...] = ("tuner-train", "judge-train", "calibration", "held-out")
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven linear layers of a decoder block, by the names that Llama, Qwen and Gemma share."""
Stop = Literal["end", "length", "error"]


class Noun(BaseModel):
    """A frozen record that refuses unknown fields, and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Pair(Noun):
    """One prompt with a secure and an insecure answer (plain code, no fences)."""

    id: str
    language: Language
    prompt: str
    secure: str
    insecure: str
    cwe: str | None = None
    source: str
    family: str | None = None
    why_secure: str | None = None
    why_insecure: str | None = None
    flags: tuple[str, ...] = ()
    """Defects a loader saw, each "side:defect", such as "secure:does-not-parse"."""


class Prompt(Noun):
    """One security-agnostic request for code. A family is one weakness in one situation."""

    id: str
    language: Language
    text: str
    cwe: str | None = None
    family: str | None = None
    stratum: Literal["plain", "orders-flaw"] = "plain"
    """Prompts that order the weakness itself ("use strcpy ... that will overflow") are reported apart."""


class Labelled(Noun):
    """One snippet with its known label, 1 = unsafe."""

    id: str
    code: str
    language: Language
    label: Literal[0, 1]
    cwe: str | None = None
    family: str
    """Snippets that belong together, such as both sides of a pair; never divided between parts or folds."""
    why: str | None = None


class Task(Noun):
    """One language's data, already split so that no near twin crosses two parts."""

    name: str
    language: Language
    digest: str
    quality: Literal["clean", "raw"]
    pairs: dict[Part, tuple[Pair, ...]]
    prompts: tuple[Prompt, ...]
    """The held-out prompts."""
    cases: tuple[Labelled, ...] = ()
    """Single snippets for calibration, hard in both directions."""
    audit: dict[str, float]
    """Twin counts between every two parts, and the limit they were counted at."""


class Model(Noun):
    """Which weights produced something: enough to find them again."""

    id: str
    revision: str | None = None
    adapter: str | None = None
    digest: str
    trained_by: str | None = None


class Completion(Noun):
    """What a model answered to one prompt."""

    prompt_id: str
    attempt: int = 0
    text: str
    stop: Stop
    tokens: int
    seconds: float
    error: str | None = None
    """Why there is no answer, in our own words; None unless stop is error."""


class Code(Noun):
    """The code found in a completion, and why it cannot be used where it cannot."""

    text: str
    language: Language
    how_extracted: str
    parses: bool
    unusable: str | None = None
    """None for usable code, else refusal, no-code, cut, wrong-language, loop, does-not-parse or failed."""


class Outcome(StrEnum):
    """What became of a sample. Unknown is never secure: all four stay in every denominator."""

    SECURE = "secure"
    INSECURE = "insecure"
    UNUSABLE = "unusable"
    UNJUDGED = "unjudged"


class Verdict(Noun):
    """One judge's answer about one code."""

    judge: str
    p_unsafe: float | None = Field(default=None, ge=0, le=1)
    label: Literal[0, 1] | None = None
    """The judge's own answer, 1 = unsafe, whatever the text is; the paper's safe rate counts its zeros."""
    outcome: Outcome
    reason: str | None = None


class Record(Noun):
    """One sample from prompt to verdict; one JSON line."""

    task: str
    prompt: Prompt
    completion: Completion
    code: Code
    verdict: Verdict
    """Of the headline judge."""
    others: tuple[Verdict, ...] = ()
    """Of the run's other judges, in their order."""
    asked: bool | None = None
    """Whether the code declares every name that the prompt demands; None where the prompt names nothing."""


class Estimate(Noun):
    """A rate with its interval."""

    value: float
    low: float
    high: float
    n: int
    method: str
    confidence: float = 0.95


class Scaling(Noun):
    """A monotone map from a judge's raw p_unsafe to a probability that fits labels."""

    kind: Literal["temperature", "isotonic"]
    temperature: float = Field(default=1.0, gt=0)
    bias: float = 0.0
    """Temperature scaling with a bias (Platt): sigmoid(logit(p) / temperature + bias)."""
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    """Isotonic: knots, both rising; a straight line between two of them, flat outside."""


class Calibration(Noun):
    """How a judge does on labelled code of one language. Positive = unsafe."""

    language: Language
    tpr: Estimate
    fpr: Estimate
    n: int
    threshold: float
    """Of scaled p_unsafe where there is a scaling, chosen on all calibration data."""
    auc: float
    ece: float
    """Of raw p_unsafe."""
    scaling: Scaling | None = None
    ece_scaled: float | None = None
    """Of scaled p_unsafe, each scaled by what other folds taught."""
    folds: int | None = None
    """TPR and FPR are of calls at thresholds that other folds chose; None: at the threshold chosen on the same data."""
    max_fpr: float | None = None
    """The threshold has the highest TPR at an FPR of at most this; None: the highest TPR - FPR."""


class Flops(Noun):
    """What training computed; a multiply-add is 2."""

    training: int
    """Analytic, of every pass as it was padded; attribution apart."""
    attribution: int
    counted_ratio: float
    """What torch counts on one pass, over the analytic figure of that pass."""
    headline: int
    """The rule of thumb: 6N a token for full fine-tuning, 4N for adapters, 2N more with checkpointing; layers below a
    cut are run once, at 2N."""


class TrainReport(Noun):
    """What training cost and did; wall seconds exclude evaluation."""

    trainable_parameters: int
    total_parameters: int
    examples: int
    steps: int
    attribution_seconds: float
    training_seconds: float
    tokens: int
    """Real tokens seen in training, all epochs."""
    padded_tokens: int
    """The same with padding."""
    tokens_per_second: float
    """Real tokens a second of training, attribution apart."""
    attribution_tokens: int
    flops: Flops | None
    """None for a model whose cost is not known from its shapes."""
    peak_memory_bytes: int
    adapter_bytes: int
    """Of the adapter's file, an ordinary LoRA adapter; of the whole model's weights where all were trained."""
    first_loss: float
    last_loss: float
    fold_error: float
    """||dW_folded - dW|| / ||dW||: what rounding to the model's dtype lost."""
    details: dict[str, Any] = {}


_OPEN = ConfigDict(extra="allow", allow_inf_nan=False)
Share = Annotated[float, Field(ge=0, le=1)]


class SampleVerdict(TypedDict):
    """What a result keeps of one judge's answer."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    outcome: Literal["secure", "insecure", "unusable", "unjudged"]
    label: Literal[0, 1] | None
    p_unsafe: Share | None


class Sample(SampleVerdict):
    """What a result keeps of one sample; what older results lack is not required."""

    task: str
    prompt_id: str
    language: str
    attempt: int
    unusable: str | None
    family: NotRequired[str | None]
    cwe: NotRequired[str | None]
    stratum: NotRequired[str | None]
    parses: NotRequired[bool | None]
    tokens: NotRequired[int | None]
    asked: NotRequired[bool | None]
    lines: NotRequired[int | None]
    others: NotRequired[dict[str, SampleVerdict]]


class Anchor(TypedDict):
    """What a judge says of the anchor snippets, by their ids."""

    digest: str
    p_unsafe: dict[str, Share | None]


class JudgeBlock(TypedDict):
    """What a result keeps of a judge."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    name: str
    digest: NotRequired[str | None]
    calibration: NotRequired[dict[str, Any] | None]
    anchor: NotRequired[Anchor | None]


class Answers(TypedDict):
    """lm-eval's samples of one task: a digest of the questions, and by metric a "0" or "1" for each."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    docs: str
    correct: dict[str, str]


class UtilityTask(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    samples: dict[str, Answers]


class Loss(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    cross_entropy: float
    tokens: int


class UtilityModel(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    languages: list[str]
    tasks: dict[str, UtilityTask]
    forgetting: dict[Literal["before", "after"], Loss]


class UtilityBlock(TypedDict):
    """What a result keeps of utility; empty where it was not measured."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    settings: NotRequired[dict[str, Any]]
    models: NotRequired[list[UtilityModel]]


def _shaped(shape: Any) -> GetPydanticSchema:
    """Have pydantic check plain data by `shape`; it stays plain data."""
    return GetPydanticSchema(lambda _source, handler: handler(shape))


class Result(Noun):
    """One run of one model and one method. Keeps lm-eval's keys; ours are in blocks of their own."""

    schema_version: int
    results: dict[str, dict[str, Any]]
    """Per task (and "all"): "secure_rate,none" and the other metrics with their intervals."""
    config: dict[str, Any]
    versions: dict[str, str]
    task_hashes: dict[str, str]
    date: str
    model: Model
    method: str
    seed: int
    judge: Annotated[dict[str, Any], _shaped(JudgeBlock)]
    """The headline judge: name, digest, and calibration by language."""
    other_judges: Annotated[tuple[dict[str, Any], ...], _shaped(tuple[JudgeBlock, ...])] = ()
    """The same of the run's other judges."""
    outcomes: Annotated[list[dict[str, Any]], _shaped(list[Sample])]
    """Per sample: task, prompt_id, family, language, attempt, outcome, label, p_unsafe, parses, unusable; asked:
    whether the code declares all that the prompt names, None where it names nothing; lines of code, not blank; and
    under others, by the name of each other judge, its outcome, label and p_unsafe."""
    utility: Annotated[dict[str, Any], _shaped(UtilityBlock)] = {}
    """What else the model can do, see goodvibe_bench/utility: `settings`, and under `models`, one a trained model,
    lm-eval's results with the correctness of every sample, and the loss on fixed texts. Empty where not measured."""
    training: tuple[TrainReport, ...]
    """One report a trained model: none for the base, one a language where each has its own."""
    run_info: dict[str, Any]
    train_info: dict[str, Any]
    meta_info: dict[str, Any]
    """These three as PEFT's method comparison has them: what was run, what it cost, on what."""
    provenance: dict[str, Any]


class Generator(Protocol):
    """Turns prompts into completions, one for each, in any order."""

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[Completion]: ...


class Judge(Protocol):
    """Labels codes, one verdict for each, in the order given."""

    def judge(self, codes: Sequence[Code]) -> list[Verdict]: ...
