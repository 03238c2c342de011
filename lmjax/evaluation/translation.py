"""How near the translations of a split are to its references: BLEU and chrF, by sacrebleu."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from sacrebleu.metrics import BLEU, CHRF

from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.generation.translate import Translation

RESAMPLES = 1000
DIGITS = 6  # of what sacrebleu writes of its resamples


@dataclass(frozen=True)
class TranslatedSplit:
    """A split with its translations, in its order."""

    documents: list[Document]  # as cleaned: source, and the reference as text
    translations: list[list[Translation]]  # of each, best first
    decoding: str  # how they were searched for
    measured: dict[str, Any]

    def sample(self, count: int) -> str:
        """So many pairs, spread evenly, each with its best translation."""
        size = len(self.documents)
        places = [size * number // count for number in range(min(count, size))]
        return "\n\n".join(
            f"source       {self.documents[place].source}\n"
            f"reference    {self.documents[place].text}\n"
            f"translation  {self.translations[place][0].text}"
            for place in places
        )


def measure(
    translations: Sequence[str], references: Sequence[str | Sequence[str]]
) -> dict[str, Any]:
    """BLEU (Papineni et al. 2002) and chrF (Popovic 2015) of a corpus, each with its signature.

    Both are in percent. Of a translation there may be several references. The texts are compared as
    they are: sacrebleu's default tokenization is of BLEU alone, and `case:mixed` in a signature
    says that it lower-cased nothing. Raises UserError if there is nothing to compare.
    """
    columns = _columns(references)
    measured: dict[str, Any] = {"sentences": len(references)}
    for name, metric in _metrics().items():
        measured[name] = metric.corpus_score(list(translations), columns).score
        measured[f"{name}_signature"] = str(metric.get_signature())
    return measured


def intervals(
    translations: Sequence[str], references: Sequence[str | Sequence[str]]
) -> dict[str, tuple[float, float] | None]:
    """95 % intervals of both by sacrebleu's bootstrap over sentences (Koehn 2004), from its seed.

    They are the mean of RESAMPLES and as much on either side, from 0 to 100; None where all of them
    score 0, and of fewer than two sentences.
    """
    found, columns = {}, _columns(references)
    for name, metric in _metrics().items():
        score = metric.corpus_score(list(translations), columns, n_bootstrap=RESAMPLES)
        written = json.loads(
            score.format(DIGITS, is_json=True, signature=str(metric.get_signature()))
        )
        mean, half = written.get("confidence_mean"), written.get("confidence_var")
        known = mean is not None and len(references) > 1
        found[name] = (max(mean - half, 0.0), min(mean + half, 100.0)) if known else None
    return found


def _metrics() -> dict[str, BLEU | CHRF]:
    # Forced, since it would else warn of texts that are in tokens already.
    return {"bleu": BLEU(force=True), "chrf": CHRF()}


def _columns(references: Sequence[str | Sequence[str]]) -> list[list[str | None]]:
    """The first reference of each, the second, ..., each in one line; None for what there is not.

    Raises UserError if there are none.
    """
    if not references:
        raise UserError("there is no pair to compare; choose another split, or give lines")
    rows = (
        [" ".join(text.split("\n")) for text in ([each] if isinstance(each, str) else each)]
        for each in references
    )
    return list(map(list, zip_longest(*rows)))
