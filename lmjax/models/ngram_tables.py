"""Tables of n-grams as a trie in arrays, and how a row of one is found.

The k-grams of each order k are the rows of a table, sorted by (context, word), where a context is
the row of a (k-1)-gram. `starts_M` is where the rows of each context begin, and `words_N` are their
last words. The last row of a table is for what it lacks: a word that no token equals, with no rows
after it as a context.
"""

import jax
import jax.numpy as jnp
import numpy as np


def trie_table(contexts_N: np.ndarray, words_N: np.ndarray, contexts: int) -> dict[str, np.ndarray]:
    """`starts_M, words_N` of sorted n-grams, int32, after so many contexts and that of none."""
    starts_M = np.searchsorted(contexts_N, np.arange(contexts + 2))
    return {"starts_M": np.int32(starts_M), "words_N": np.int32(np.append(words_N, -1))}


def find_rows(
    table: dict[str, jax.Array], contexts: jax.Array, words: jax.Array, vocabulary_size: int
) -> jax.Array:
    """The row of each (context, word), by binary search; the last row for what the table lacks."""
    starts_M, words_N = table["starts_M"], table["words_N"]
    end = starts_M[contexts + 1]

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) // 2
        below = (low < high) & (words_N[middle] < words)
        return jnp.where(below, middle + 1, low), jnp.where(below, high, middle)

    most = min(vocabulary_size, words_N.size)  # words after one context
    low, _ = jax.lax.fori_loop(0, most.bit_length(), halve, (starts_M[contexts], end))
    return jnp.where((low < end) & (words_N[low] == words), low, words_N.size - 1)
