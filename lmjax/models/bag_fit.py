"""From labelled sources to the tables of n-grams and weights that `BagOfNGrams` reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array, hstack

from lmjax.data.document_batches import document_lengths
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.models.ngram_tables import trie_table

FEATURES = ("counts", "presence", "tf_idf")
NEVER_SEEN = -30.0  # nats, at least: what a label of no document is below the most probable one
MOST_STEPS = 10_000  # of L-BFGS; it ends where the gradient is small


def fit_bag(
    streams: Sequence[TokenStream],
    order: int,
    features: str,
    least_documents: int,
    inverse_penalty: float,
    source_size: int,
    label_size: int,
) -> dict[str, Any]:
    """`bias_V`, and of each order `scale_N`, `weights_NV` and its place in the trie, in float32.

    A row of a table is an n-gram of at least `least_documents` documents (of one token each that
    there is), and its scale the number that its count is multiplied by, 0 for what is no feature.
    No streams give zeros. Raises UserError as `BagOfNGrams.fit`.
    """
    labels_M, tokens_N, lengths_M = _documents(streams)
    counts, tables = _count(tokens_N, lengths_M, order, least_documents, source_size)
    scales = [_scale(each, features, least_documents) for each in counts]
    sizes = [len(scale_N) for scale_N in scales]
    bias_V, weights_FV = np.full(label_size, NEVER_SEEN), np.zeros((sum(sizes), label_size))
    if not streams:
        bias_V[:] = 0
    else:
        scale_F = np.concatenate(scales)
        x_MF = _features(csr_array(hstack(counts)), scale_F, features)
        kept = np.flatnonzero(scale_F)
        labels, weights_FK, bias_K = _regress(x_MF[:, kept], labels_M, inverse_penalty)
        weights_FV[np.ix_(kept, labels)], bias_V[labels] = weights_FK, bias_K
    parts = np.split(weights_FV, np.cumsum(sizes)[:-1])
    for table, scale_N, weights_NV in zip(tables, scales, parts, strict=True):
        table["scale_N"] = np.float32(np.append(scale_N, 0))
        table["weights_NV"] = np.float32(np.vstack([weights_NV, np.zeros((1, label_size))]))
    named = {f"order_{size}": table for size, table in enumerate(tables, start=1)}
    return {"bias_V": np.float32(bias_V), **named}


def _documents(streams: Sequence[TokenStream]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`labels_M, tokens_N, lengths_M`: the label and the tokens of each source."""
    labels, tokens, lengths = ([np.zeros(0, np.int64)] for _ in range(3))
    for stream in streams:
        if stream.source is None:
            raise UserError(
                "model 'bag_of_ngrams' tells the label of a source, and the documents of the "
                "training split have none; choose a corpus of labels, such as 'sst2'"
            )
        if (document_lengths(stream) != 1).any():
            raise UserError(
                "model 'bag_of_ngrams' tells a label of one token, and documents of the training "
                "split have others; set data.tokenizer='label' and data.source_tokenizer"
            )
        labels.append(stream.tokens_N)
        tokens.append(stream.source.tokens_N)
        lengths.append(document_lengths(stream.source))
    return np.concatenate(labels), np.concatenate(tokens), np.concatenate(lengths)


def _count(
    tokens_N: np.ndarray, lengths_M: np.ndarray, order: int, least_documents: int, size: int
) -> tuple[list[csr_array], list[dict[str, np.ndarray]]]:
    """How often each document has each n-gram, and the trie of those; of each order.

    An n-gram of too few documents is left out, and those that go on with it are, too.
    """
    document_N = np.repeat(np.arange(len(lengths_M)), lengths_M)
    place_N = np.arange(len(tokens_N)) - np.repeat(np.cumsum(lengths_M) - lengths_M, lengths_M)
    row_N, rows, tables = tokens_N.astype(np.int64), size, [{}]  # of the n-gram that ends here
    counts = [_matrix(document_N, row_N, len(lengths_M), rows)]
    for length in range(2, order + 1):
        is_frequent_R = _documents_with(counts[-1]) >= least_documents
        ends = np.flatnonzero(place_N >= length - 1)
        ends = ends[row_N[ends - 1] >= 0]
        ends = ends[is_frequent_R[row_N[ends - 1]]]
        keys = row_N[ends - 1] * size + tokens_N[ends]
        found_R, row_of_end = number_distinct(keys, rows * size)
        counted = _matrix(document_N[ends], row_of_end, len(lengths_M), len(found_R))
        kept = np.flatnonzero(_documents_with(counted) >= least_documents)
        new_R = np.full(len(found_R), -1)
        new_R[kept] = np.arange(len(kept))
        contexts_R, words_R = np.divmod(found_R[kept], size)
        tables.append(trie_table(contexts_R, words_R, rows))
        counts.append(counted[:, kept])
        row_N, rows = np.full(len(tokens_N), -1), len(kept)
        row_N[ends] = new_R[row_of_end]
    return counts, tables


def number_distinct(keys: np.ndarray, space: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct `keys` out of range(`space`) in order, and which of them each key is."""
    if space > 4 * keys.size:
        return np.unique(keys, return_inverse=True)
    # Marking is many times faster than sorting, in a space not much larger than the keys.
    occurs = np.zeros(space, bool)
    occurs[keys] = True
    return np.flatnonzero(occurs), np.cumsum(occurs, dtype=np.int32)[keys] - 1


def _matrix(document_N: np.ndarray, row_N: np.ndarray, documents: int, rows: int) -> csr_array:
    ones_N = np.ones(len(row_N))
    return csr_array(coo_array((ones_N, (document_N, row_N)), shape=(documents, rows)))


def _documents_with(counts_MN: csr_array) -> np.ndarray:
    """`documents_N`: how many documents have each n-gram."""
    return np.bincount(counts_MN.indices, minlength=counts_MN.shape[1])


def _scale(counts_MN: csr_array, features: str, least_documents: int) -> np.ndarray:
    """`scale_N`: ln((1 + M) / (1 + documents)) + 1 in `tf_idf`, else 1; 0 for what is too rare."""
    documents_N = _documents_with(counts_MN)
    scale_N = np.ones(len(documents_N))
    if features == "tf_idf":
        scale_N += np.log((1 + counts_MN.shape[0]) / (1 + documents_N))
    return np.where(documents_N >= least_documents, scale_N, 0)


def _features(counts_MF: csr_array, scale_F: np.ndarray, features: str) -> csr_array:
    x_MF = csr_array(counts_MF, copy=True)
    if features == "presence":
        x_MF.data[:] = 1
    x_MF.data *= scale_F[x_MF.indices]
    if features == "tf_idf":
        norms_M = np.sqrt(np.asarray(x_MF.multiply(x_MF).sum(axis=1)))
        x_MF.data /= np.repeat(np.where(norms_M > 0, norms_M, 1), np.diff(x_MF.indptr))
    return x_MF


def _regress(
    x_MF: csr_array, labels_M: np.ndarray, inverse_penalty: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`labels_K, weights_FK, bias_K` of multinomial logistic regression; zeros of one label."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise UserError(
            "model 'bag_of_ngrams' is fitted by scikit-learn, which is not installed; install it: "
            "pip install 'lmjax[tasks]'"
        ) from error
    labels_K = np.unique(labels_M)
    if len(labels_K) == 1:
        return labels_K, np.zeros((x_MF.shape[1], 1)), np.zeros(1)
    found = LogisticRegression(C=inverse_penalty, max_iter=MOST_STEPS).fit(x_MF, labels_M)
    weights_FK, bias_K = found.coef_.T, found.intercept_
    if len(labels_K) == 2:  # one logit, of the second against the first
        weights_FK = np.concatenate([np.zeros_like(weights_FK), weights_FK], axis=1)
        bias_K = np.append(0, bias_K)
    return labels_K, weights_FK, bias_K
