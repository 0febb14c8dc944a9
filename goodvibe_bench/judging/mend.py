"""Damaged pairs made whole where taking out stray tokens is enough, so that judges learn from more of them.

Only what judges learn from is mended: what they are measured on, and what models are tuned on, stays as it was.
"""

import re
from collections.abc import Iterator, Sequence

from goodvibe_bench.task.flags import pair_flags
from goodvibe_bench.types import Pair

_STRAY = re.compile(
    r'("(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/)|\b(?:Hawk|otted|Bs)\b|[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+',
    re.DOTALL,
)


def mended(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Yield the pairs without defects, in order: those that have none, and those that have none once mended.

    A mended pair's id ends in #mended.
    """
    for pair in pairs:
        if not pair.flags:
            yield pair
            continue
        secure, insecure = (_STRAY.sub(lambda found: found[1] or "", side) for side in (pair.secure, pair.insecure))
        if not pair_flags(secure, insecure, pair.language):
            fields = {"id": f"{pair.id}#mended", "secure": secure, "insecure": insecure, "flags": ()}
            yield pair.model_copy(update=fields)
