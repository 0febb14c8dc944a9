# pyright: reportMissingImports=false
"""The process that vLLM runs in: `python -m goodvibe_bench.engine.child`, JSON lines in, JSON lines out.

The first line in says what to serve, each further one what to answer, an empty one that a batch is complete: nothing is
computed before, so that batches do not depend on how fast lines come. Answers go out as they are done. Whatever vLLM
prints goes to standard error. When its parent is gone the process ends, and all that vLLM started with it.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from typing import Any

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The largest adapter rank that an engine can be told."""


def main() -> int:
    """Serve until standard input ends; return the exit code."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    job = json.loads(lines.get())
    engine = _engine(job)
    from vllm import __version__

    _say(out, {"ready": True, "version": __version__})
    adapters: dict[str, int] = {}
    while True:
        asked = []
        while line := lines.get().strip():
            asked.append(json.loads(line))
        for one in asked:
            _add(engine, one, adapters, out)
        _answer(engine, out)


def _read(lines: "queue.SimpleQueue[str]") -> None:
    """Hand on what comes in; where it ends the parent is gone, and so is everything in this process's group."""
    for line in sys.stdin:
        lines.put(line)
    os.killpg(0, signal.SIGKILL)


def _say(out: Any, words: dict[str, Any]) -> None:
    out.write(json.dumps(words) + "\n")
    out.flush()


def _engine(job: dict[str, Any]) -> Any:
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    rank = job.pop("lora_rank")
    if rank:
        job |= {"enable_lora": True, "max_lora_rank": next((known for known in RANKS if known >= rank), rank)}
    args: Any = EngineArgs
    # Token ids in and out: the engine needs no tokenizer, and of the model's generation config it reads nothing.
    return LLMEngine.from_engine_args(
        args(**job, skip_tokenizer_init=True, generation_config="vllm", disable_log_stats=True)
    )


def _add(engine: Any, asked: dict[str, Any], adapters: dict[str, int], out: Any) -> None:
    """Queue one request; what the engine refuses is answered with the reason."""
    from vllm import SamplingParams
    from vllm.exceptions import VLLMValidationError
    from vllm.lora.request import LoRARequest
    from vllm.sampling_params import RequestOutputKind

    lora, path = None, asked["adapter"]
    if path:
        number = adapters.setdefault(path, len(adapters) + 1)
        lora = LoRARequest(str(number), number, path)
    params = SamplingParams(**asked["params"], detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)
    try:
        engine.add_request(str(asked["id"]), {"prompt_token_ids": asked["ids"]}, params, lora_request=lora)
    except (ValueError, VLLMValidationError) as error:
        _say(out, {"id": asked["id"], "error": str(error)})


def _answer(engine: Any, out: Any) -> None:
    """Compute until every queued request is answered."""
    start = time.monotonic()
    while engine.has_unfinished_requests():
        for done in engine.step():
            if done.finished:
                found = done.outputs[0]
                first = found.logprobs[0] if found.logprobs else {}
                _say(
                    out,
                    {
                        "id": int(done.request_id),
                        "ids": list(found.token_ids),
                        "finish": found.finish_reason,
                        "logprobs": {token: one.logprob for token, one in first.items()},
                        "at": round(time.monotonic() - start, 4),
                    },
                )


if __name__ == "__main__":
    sys.exit(main())
