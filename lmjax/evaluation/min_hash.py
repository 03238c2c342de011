"""Pairs of near duplicates in a large corpus, without comparing each text with each."""

from collections.abc import Sequence

from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.evaluation.near_duplicates import Overlap, Shingles, Units, overlap

SEED = 1  # of the permutations


def near_duplicates(
    documents: Sequence[Document], shingles: Shingles, threshold: float, permutations: int = 128
) -> list[tuple[int, int, Overlap]]:
    """Places of two documents whose Jaccard similarity is at least `threshold`, the likest first.

    MinHash with locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998), by datasketch,
    proposes pairs, of which the exact similarity decides: so none is wrong, and some, mostly near
    the threshold, may be missed. Raises UserError for a threshold that is not above 0 and at most
    1, and without datasketch.
    """
    if not 0 < threshold <= 1:
        raise UserError(f"the threshold is {threshold}; give more than 0 and at most 1")
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as error:
        raise UserError(
            "near duplicates within a corpus need datasketch; pip install 'lmjax[similar]', or "
            "give a --query"
        ) from error
    units = [Units.of(document.text, shingles.unit) for document in documents]
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    pairs = []
    for place, each in enumerate(units):
        if not each.texts:
            continue
        sketch = MinHash(num_perm=permutations, seed=SEED)
        sketch.update_batch([" ".join(run).encode() for run in set(each.runs(shingles.size))])
        pairs += [(other, place) for other in index.query(sketch)]
        index.insert(place, sketch)
    found = [(*pair, overlap(*(units[i] for i in pair), shingles.size)) for pair in pairs]
    kept = [each for each in found if each[2].jaccard >= threshold]
    return sorted(kept, key=lambda each: (-each[2].jaccard, each[:2]))
