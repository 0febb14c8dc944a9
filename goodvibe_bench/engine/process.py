"""Ask an engine that runs in a process of its own, so that its crash is a message and its memory comes back.

One engine is held at a time, whoever asks: it takes most of a device's memory. Neither vLLM nor torch is imported here.
"""

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goodvibe_bench.engine.settings import INSTALL, Engine, installed
from goodvibe_bench.errors import RunError, UsageError

CPU_CACHE_GIB = "2"
"""What an engine on a CPU keeps keys and values in, unless $VLLM_CPU_KVCACHE_SPACE or the settings say otherwise."""
STEP = 256
"""Room for prompt and answer comes in multiples of this many tokens, so that like prompts find the same engine."""
_SAID_LINES = 400
_MEMORY = (
    "out of memory",
    "OutOfMemory",
    "KV cache",
    "cache blocks",
    "gpu-memory-utilization",
    "Cannot allocate memory",
)
_STEP_TO_MEND = (
    "Give it less or other memory (--model_args gpu_memory_utilization=0.8, max_model_len=N, max_num_seqs=N; on a CPU "
    "$VLLM_CPU_KVCACHE_SPACE in GiB), or use --backend transformers."
)


@dataclass(frozen=True)
class Served:
    """What an engine serves."""

    folder: Path
    dtype: str
    settings: Engine
    longest: int
    """Tokens of prompt and answer that there must be room for."""
    on_cpu: bool
    lora_rank: int = 0
    """The largest rank of the adapters that requests may name; 0 for none."""
    trust_remote_code: bool = False

    def rounded(self, most: int | None) -> "Served":
        """Return the same with room in steps, up to the model's own limit."""
        longest = -(-self.longest // STEP) * STEP
        return replace(self, longest=min(longest, most) if most else longest)

    def covers(self, other: "Served") -> bool:
        """Return whether an engine for this can answer what was meant for `other`."""
        return replace(self, longest=other.longest) == other and self.longest >= other.longest


@dataclass(frozen=True)
class Ask:
    """One request: token ids, and how to go on from them."""

    ids: list[int]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stops: tuple[int, ...] = ()
    """Token ids that end an answer, beside the model's own; they are its last token."""
    repetition_penalty: float = 1.0
    scored: tuple[int, ...] = ()
    """Token ids whose log probabilities as the first token of the answer are wanted."""
    adapter: Path | None = None

    def line(self, place: int) -> str:
        """Return the request as the engine reads it."""
        params: dict[str, Any] = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop_token_ids": list(self.stops),
            "ignore_eos": True,
            "repetition_penalty": self.repetition_penalty,
        }
        params |= {"logprob_token_ids": list(self.scored)} if self.scored else {}
        adapter = str(self.adapter.resolve()) if self.adapter else None
        return json.dumps({"id": place, "ids": self.ids, "params": params, "adapter": adapter}) + "\n"


@dataclass(frozen=True)
class Answer:
    """What the engine made of the request at `place`."""

    place: int
    ids: list[int] = field(default_factory=list)
    ended: bool = True
    """Whether one of the stops ended it, and not the limit."""
    logprobs: dict[int, float] = field(default_factory=dict)
    error: str | None = None
    """Why the engine did not take the request."""


class _Copy:
    """One engine process."""

    def __init__(self, job: dict[str, Any], environment: dict[str, str]) -> None:
        command = [sys.executable, "-P", "-m", "goodvibe_bench.engine.child"]
        self.process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            start_new_session=True,  # Ctrl-C is ours alone; a signal to the group reaches all that vLLM started
        )
        self.said: deque[str] = deque(maxlen=_SAID_LINES)
        self._listening = threading.Thread(target=lambda: self.said.extend(self.process.stderr or ()), daemon=True)
        self._listening.start()
        self.write(json.dumps(job) + "\n")

    def write(self, text: str) -> None:
        pipe: Any = self.process.stdin
        with suppress(BrokenPipeError):  # the reader says that it ended, and why
            pipe.write(text)
            pipe.flush()

    def fault(self) -> str:
        """Return what ended the process, once it has ended."""
        with suppress(subprocess.TimeoutExpired):  # its output ends before it does
            self.process.wait(timeout=10)
        self.close()
        code = self.process.returncode
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        errors = [line.strip() for line in self.said if "Error" in line or "error:" in line.lower()]
        short = any(word in line for line in errors for word in _MEMORY) or code == -signal.SIGKILL
        last = f" Its last words: {errors[-1][-400:]}" if errors else ""
        return f"The vLLM engine ended ({how}).{last} {_STEP_TO_MEND if short else ''}".strip()

    def close(self) -> None:
        """End the process and all that it started, and wait for that."""
        with suppress(ProcessLookupError, PermissionError):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._listening.join(timeout=2)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError, ValueError):
                if pipe:
                    pipe.close()


class Process:
    """A running engine, or `data_parallel_size` of them that share the requests."""

    def __init__(self, served: Served) -> None:
        """Start and wait until it can answer. Raises UsageError without vLLM, RunError where it does not start."""
        if installed() is None:
            raise UsageError(f"--backend vllm needs vLLM: {INSTALL}, or --backend transformers.")
        self.served = served
        self._heard: queue.SimpleQueue[tuple[_Copy, str]] = queue.SimpleQueue()
        count = served.settings.data_parallel_size
        self._copies: list[_Copy] = []
        try:
            self._copies += [_Copy(_job(served), _environment(served, number)) for number in range(count)]
            for copy in self._copies:
                threading.Thread(target=self._listen, args=(copy,), daemon=True).start()
            for _ in self._copies:
                self.version = str(self._next()["version"])
        except BaseException:
            self.close()
            raise

    def _listen(self, copy: _Copy) -> None:
        with suppress(ValueError):  # closed under us
            for line in copy.process.stdout or ():
                self._heard.put((copy, line))
        self._heard.put((copy, ""))

    def _next(self) -> dict[str, Any]:
        """Return the next thing that a copy says. Raises RunError when one has ended."""
        copy, line = self._heard.get()
        if not line:
            raise RunError(copy.fault())
        return json.loads(line)

    @property
    def alive(self) -> bool:
        return bool(self._copies) and all(copy.process.poll() is None for copy in self._copies)

    def answers(self, asks: Sequence[Ask]) -> Iterator[Answer]:
        """Yield one answer a request as they are done, whatever their order.

        Raises RunError when the engine ends meanwhile. Left early, it ends the engine.
        """
        left = len(asks)
        try:
            for number, copy in enumerate(self._copies):
                lines = [ask.line(place) for place, ask in enumerate(asks) if place % len(self._copies) == number]
                copy.write("".join([*lines, "\n"]))
            while left:
                yield _answer(self._next())
                left -= 1
        finally:
            if left:
                self.close()

    def close(self) -> None:
        """End the engine and give its memory back."""
        for copy in self._copies:
            copy.close()
        self._copies = []


def _answer(words: dict[str, Any]) -> Answer:
    if "error" in words:
        return Answer(words["id"], error=words["error"])
    logprobs = {int(token): float(logprob) for token, logprob in words["logprobs"].items()}
    return Answer(words["id"], words["ids"], words["finish"] == "stop", logprobs)


def _job(served: Served) -> dict[str, Any]:
    """Return vLLM's own arguments, and the rank of adapters."""
    settings = served.settings
    eager = served.on_cpu if settings.enforce_eager is None else settings.enforce_eager
    named = settings.model_dump(include={"tensor_parallel_size", "max_num_seqs", "gpu_memory_utilization"})
    return {key: value for key, value in named.items() if value is not None} | {
        "model": str(served.folder),
        "dtype": served.dtype,
        "max_model_len": settings.max_model_len or served.longest,
        "enforce_eager": eager,
        "trust_remote_code": served.trust_remote_code,
        "lora_rank": served.lora_rank,
    }


def _environment(served: Served, number: int) -> dict[str, str]:
    """Return the environment of copy `number`: nothing is fetched or reported, and each copy has its own devices."""
    found = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "TOKENIZERS_PARALLELISM": "false"}
    found.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    if served.on_cpu:
        # Engine and scheduler in one process start in half the time, and the same requests make the same batches.
        found.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0" if served.settings.tensor_parallel_size == 1 else "1")
        if served.settings.gpu_memory_utilization is None:
            found.setdefault("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GIB)
        # One core is left to others, as vLLM itself does: threads that wait for one another stand still when crowded.
        cores = (os.cpu_count() or 2) // served.settings.data_parallel_size
        found.setdefault("OMP_NUM_THREADS", str(max(1, cores - 1)))
        return found
    size = served.settings.tensor_parallel_size
    if served.settings.data_parallel_size > 1:
        visible = [one for one in found.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
        visible = visible or [str(device) for device in range(size * served.settings.data_parallel_size)]
        found["CUDA_VISIBLE_DEVICES"] = ",".join(visible[number * size : (number + 1) * size])
    return found


_held: Process | None = None


def running(served: Served) -> Process:
    """Return the engine that serves this: the one that is held where it does, else a new one in its place."""
    global _held
    if _held is not None and _held.alive and _held.served.covers(served):
        return _held
    stop()
    _held = Process(served)
    return _held


def stop() -> None:
    """End the engine that is held, if any."""
    global _held
    if _held is not None:
        _held.close()
        _held = None


atexit.register(stop)
