"""Interpolated Kneser-Ney from its definition, with dictionaries and no care for speed."""

from collections import Counter, defaultdict

import numpy as np


class ReferenceNGram:
    """Probabilities by recursion; `end_id` ends every context that would reach beyond it."""

    def __init__(self, streams, order, vocabulary_size, smoothing, end_id):
        self.order, self.vocabulary_size, self.end_id = order, vocabulary_size, end_id
        occurrences = [Counter() for _ in range(order + 1)]
        unpreceded = [Counter() for _ in range(order + 1)]
        for stream in streams:
            seen = [stream.start_id]
            for token in map(int, stream.tokens_N):
                context = self.visible(seen)
                for length in range(1, min(order, len(context) + 1) + 1):
                    gram = (*context[len(context) - length + 1 :], token)
                    occurrences[length][gram] += 1
                    if length == len(context) + 1:
                        unpreceded[length][gram] += 1
                seen.append(token)
        self.counts = [defaultdict(Counter) for _ in range(order + 1)]
        self.discounts = [None] * (order + 1)
        for length in range(1, order + 1):
            if length == order:
                counts = occurrences[length]
            else:
                counts = Counter(gram[1:] for gram in occurrences[length + 1])
                counts.update(unpreceded[length])
            for gram, count in counts.items():
                self.counts[length][gram[:-1]][gram[-1]] = count
            self.discounts[length] = self.estimate(Counter(counts.values()), smoothing)

    def visible(self, seen):
        """All that the next token may see: everything, or from the last end on."""
        if self.end_id in seen:
            last = len(seen) - 1 - seen[::-1].index(self.end_id)
            return seen[last:]
        return seen

    @staticmethod
    def estimate(n, smoothing):
        """A function from a count to its discount."""
        halves = {1: 0.5, 2: 1.0, 3: 1.5}
        if n[1] == 0 or n[2] == 0:
            return (lambda count: 0.5) if smoothing == "kneser_ney" else lambda c: halves[min(c, 3)]
        y = n[1] / (n[1] + 2 * n[2])
        if smoothing == "kneser_ney":
            return lambda count: y
        table = {1: 1 - 2 * y * n[2] / n[1], 2: 2 - 3 * y * n[3] / n[2]}
        table[3] = 3 - 4 * y * n[4] / n[3] if n[3] else halves[3]
        table = {c: d if 0 < d < c else halves[c] for c, d in table.items()}
        return lambda count: table[min(count, 3)]

    def probability(self, word, context):
        context = tuple(context[max(0, len(context) - self.order + 1) :])
        length = len(context) + 1
        lower = self.probability(word, context[1:]) if context else 1 / self.vocabulary_size
        counts, discount = self.counts[length][context], self.discounts[length]
        total = sum(counts.values())
        if total == 0:
            return lower
        kept = counts[word] - discount(counts[word]) if word in counts else 0
        freed = sum(discount(count) for count in counts.values())
        return kept / total + freed / total * lower

    def distributions(self, tokens):
        """The distribution after each of the tokens, as rows."""
        tokens = [int(token) for token in tokens]
        contexts = [self.visible(tokens[: index + 1]) for index in range(len(tokens))]
        words = range(self.vocabulary_size)
        return [[self.probability(word, context) for word in words] for context in contexts]


def counts_by_last_token(tokens_S, reach_S, order, vocabulary_size):
    """`starts_M, words_N, suffixes_N, counts_N` of each order, from each n-gram's last token."""
    targets = np.flatnonzero(reach_S)
    row_S = tokens_S  # of the n-gram that ends here
    contexts_N = suffixes_N = np.zeros(vocabulary_size, np.int64)
    words_N, contexts = np.arange(vocabulary_size), 1
    for length in range(1, order + 1):
        starts_M = np.searchsorted(contexts_N, np.arange(contexts + 1))
        if length == order:
            counts_N = np.bincount(row_S[targets], minlength=words_N.size)
            yield starts_M, words_N, suffixes_N, counts_N
            return
        extensible = reach_S[targets] >= length
        counts_N = np.bincount(row_S[targets[~extensible]], minlength=words_N.size)
        targets = targets[extensible]
        keys = row_S[targets - 1] * vocabulary_size + tokens_S[targets]
        keys_M, row_of_target = np.unique(keys, return_inverse=True)
        suffixes_M = np.zeros(keys_M.size, np.int64)
        suffixes_M[row_of_target] = row_S[targets]
        counts_N += np.bincount(suffixes_M, minlength=words_N.size)
        yield starts_M, words_N, suffixes_N, counts_N
        contexts = words_N.size
        contexts_N, words_N = np.divmod(keys_M, vocabulary_size)
        suffixes_N, row_S = suffixes_M, np.zeros_like(tokens_S)
        row_S[targets] = row_of_target
