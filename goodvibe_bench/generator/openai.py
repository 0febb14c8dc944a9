"""Generate with any OpenAI-compatible server: many requests under way at once, answers as they come.

The client tries again by itself, with growing waits, after 408, 409, 429, 5xx, a timeout and a broken connection. What
fails in the end is a completion with stop error, never an answer. The key is read from $OPENAI_API_KEY and goes into
the request's header alone: no word of a server's error is repeated, since servers like to quote keys.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from goodvibe_bench.errors import UsageError
from goodvibe_bench.generator.sampling import Sampling, hash_seed
from goodvibe_bench.generator.server import Server
from goodvibe_bench.types import Completion, Prompt, Stop

try:
    import openai
except ImportError as missing:
    raise UsageError('--backend openai needs a package: pip install "goodvibe-bench[openai]"') from missing

MAX_RETRIES = 5
"""Tries of one request after its first; the client waits 0.5 to 8 s before each, or as long as Retry-After says."""
KEY = "OPENAI_API_KEY"

_PLACEHOLDER = "none"
_STOPS: dict[str | None, Stop] = {"length": "length", "error": "error", "abort": "error"}


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Answer(BaseModel):
    """What is read of a chat completion; servers add fields of their own."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Any = None

    @property
    def tokens(self) -> int:
        """What the server counted; 0 where it did not say."""
        said = self.usage.get("completion_tokens") if isinstance(self.usage, dict) else None
        return said if isinstance(said, int) and said >= 0 else 0


@dataclass(frozen=True)
class OpenAIGenerator:
    """A generator on a model that a server serves under the name `model`."""

    server: Server
    model: str
    sampling: Sampling = field(default_factory=Sampling)
    kept: Collection[tuple[str, int]] = frozenset()
    """Prompt ids and attempts that are not asked for."""

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[Completion]:
        """Yield `sampling.attempts` completions for each prompt, less those kept, in the order of the answers.

        Raises UsageError when the first request shows that address, key or name are wrong.
        """
        work = [(prompt, attempt) for prompt in prompts for attempt in range(self.sampling.attempts)]
        work = [(prompt, attempt) for prompt, attempt in work if (prompt.id, attempt) not in self.kept]
        answers = self._answers(work)
        with asyncio.Runner() as runner:
            try:
                while (found := runner.run(_next(answers))) is not None:
                    yield found
            finally:
                runner.run(_closed(answers))

    async def _answers(self, work: list[tuple[Prompt, int]]) -> AsyncIterator[Completion]:
        """Ask for the first alone, and without a second try where that one is in vain, then for all others."""
        async with _client(self.server) as client:
            if work and (first := await self._first(client, *work[0])):
                yield first
                work = work[1:]
            free = asyncio.Semaphore(self.server.concurrency)
            asked = [asyncio.create_task(self._when_free(free, client, prompt, attempt)) for prompt, attempt in work]
            try:
                for answer in asyncio.as_completed(asked):
                    yield await answer
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)

    async def _first(self, client: openai.AsyncOpenAI, prompt: Prompt, attempt: int) -> Completion | None:
        """Return the first completion, or None when it failed in a way that another try may mend."""
        try:
            return await self._asked(client.with_options(max_retries=0), prompt, attempt)
        except openai.APIError as error:
            fault = _fault_of_user(error, self.server, self.model)
        except (openai.OpenAIError, TimeoutError, ValueError):
            return None
        if fault:  # outside of except: the client's error, and what it quotes, is no part of ours
            raise UsageError(fault)
        return None

    async def _when_free(
        self, free: asyncio.Semaphore, client: openai.AsyncOpenAI, prompt: Prompt, attempt: int
    ) -> Completion:
        async with free:
            start = time.monotonic()
            try:
                return await self._asked(client, prompt, attempt)
            except (openai.OpenAIError, TimeoutError, ValueError) as error:
                why = _why(error, self._words(prompt, attempt))
            seconds = round(time.monotonic() - start, 4)
            return Completion(
                prompt_id=prompt.id, attempt=attempt, text="", stop="error", tokens=0, seconds=seconds, error=why
            )

    async def _asked(self, client: openai.AsyncOpenAI, prompt: Prompt, attempt: int) -> Completion:
        """Return the completion of one request.

        Raises OpenAIError, TimeoutError where the server sends a little for ever, and ValueError for what is no chat
        completion.
        """
        start = time.monotonic()
        async with asyncio.timeout(self.server.timeout_seconds * (MAX_RETRIES + 1)):
            said = await client.chat.completions.with_raw_response.create(**self._words(prompt, attempt))
        answer = _Answer.model_validate_json(said.text)
        choice = answer.choices[0]
        stop = _STOPS.get(choice.finish_reason, "end")
        return Completion(
            prompt_id=prompt.id,
            attempt=attempt,
            text="" if stop == "error" else choice.message.content or choice.message.refusal or "",
            stop=stop,
            tokens=answer.tokens,
            seconds=round(time.monotonic() - start, 4),
            error="the server gave up on it" if stop == "error" else None,
        )

    def _words(self, prompt: Prompt, attempt: int) -> dict[str, Any]:
        """Return the request. The seed is each sample's own, in 31 bits, which every server takes."""
        system = [{"role": "system", "content": self.sampling.system}] if self.sampling.system else []
        # OpenAI's own newer models take the second name alone, other servers often the first alone.
        openais = (urlsplit(self.server.public_url).hostname or "").endswith("api.openai.com")
        return {
            "model": self.model,
            "messages": [*system, {"role": "user", "content": prompt.text}],
            "max_completion_tokens" if openais else "max_tokens": self.sampling.max_new_tokens,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "seed": hash_seed(self.sampling.seed, prompt.id, attempt) % 2**31,
        }


async def _next(answers: AsyncIterator[Completion]) -> Completion | None:
    return await anext(answers, None)


async def _closed(answers: Any) -> None:
    await answers.aclose()


def _client(server: Server) -> openai.AsyncOpenAI:
    """Return a client with the key of the environment. Raises UsageError for one that no header can carry."""
    key = os.environ.get(KEY, "").strip() or _PLACEHOLDER
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"${KEY} holds characters that no key has. Set it again.")
    return openai.AsyncOpenAI(
        api_key=key,
        base_url=server.client_url,
        default_query=server.query,
        timeout=server.timeout_seconds,
        max_retries=MAX_RETRIES,
    )


def _fault_of_user(error: openai.APIError, server: Server, model: str) -> str | None:
    """Return what the user can mend, and how; None when the server may do better at the next try."""
    where = f"The server at {server.public_url}"
    if isinstance(error, openai.APIStatusError):
        if error.status_code in {401, 403}:
            return f"{where} refuses the key (HTTP {error.status_code}). Set ${KEY} to one that may use {model!r}."
        if error.status_code == 404:
            return (
                f"{where} serves no model {model!r} (HTTP 404), or the address lacks its /v1. `curl "
                f"{server.public_url}/models` lists what it serves."
            )
    if type(error.__cause__).__name__ == "ConnectError":
        return f"{where} cannot be reached. Start it, or mend --base_url."
    return None


def _why(error: Exception, words: dict[str, Any]) -> str:
    """Return why a request failed, in words of ours; of the server's only the name of a parameter that we sent."""
    if isinstance(error, openai.APIStatusError):
        about = f" about {error.param}" if error.param in words else ""
        return f"HTTP {error.status_code}{about}"
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return "timeout"
    if isinstance(error, openai.APIConnectionError):
        return "connection lost"
    return "an answer that is no chat completion"
