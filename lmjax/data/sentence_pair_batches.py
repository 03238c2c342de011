"""Batches of two texts a row, of which the second follows the first, or is of elsewhere."""

import functools

import numpy as np

from lmjax.data.batch import CACHED_EPOCHS, PADDING, Batch, Draw, ceil_divide, gather
from lmjax.data.batching import Batching
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError

SPECIAL = 3  # places of a row that special tokens take: before, between and after the two texts


class SentencePairBatches(Batching):
    """Each row a class token, a text, a separator, another text, a separator (Devlin et al. 2019).

    As there (appendix A.2), a text is any stretch of a document. Documents are cut into pieces that
    fill a row, which come in an order of each epoch's own; a piece is cut in two at a random place,
    and in half of the rows its second part is replaced by a stretch of any piece. Draws are
    functions of `(seed, epoch)` and `(seed, step)`. Pieces of one token are left out.

    The places of special tokens have weight 0: the objective, which knows them, puts them in.
    Raises UserError for rows that have no place for two texts.
    """

    def __init__(self, stream: TokenStream, data, seed: int):
        super().__init__(stream, data, seed)
        room = self.length - SPECIAL
        if room < 2:
            raise UserError(
                f"data.length is {self.length}, too short for two texts; give at least "
                f"{SPECIAL + 2}"
            )
        ends_M = np.append(stream.document_starts_M[1:], len(stream.tokens_N))
        begins, sizes = [], []
        for begin, end in zip(stream.document_starts_M.tolist(), ends_M.tolist(), strict=True):
            begins.append(np.arange(begin, end, room))
            sizes.append(np.minimum(end - begins[-1], room))
        begins_N, sizes_N = np.concatenate(begins), np.concatenate(sizes)
        self._begins_N, self._sizes_N = begins_N[sizes_N > 1], sizes_N[sizes_N > 1]
        self._by_size_N = np.argsort(self._sizes_N, kind="stable")
        if not len(self._begins_N):
            raise UserError(
                "no document of the training split has two tokens, so none can be cut in two; "
                "choose another data.batching"
            )
        self.steps_per_epoch = ceil_divide(len(self._begins_N), self.rows)
        self._order = functools.lru_cache(CACHED_EPOCHS)(self._draw_order)

    def batch(self, step: int) -> Batch:
        begins_B, firsts_B, others_B, sizes_B, is_next_B = self._draw_pairs(step)
        columns_BT = np.broadcast_to(np.arange(self.length)[None, :], (self.rows, self.length))
        second_B = firsts_B + 2  # where the second text begins
        end_B = second_B + sizes_B - firsts_B  # where the last separator stands
        in_first_BT = (columns_BT >= 1) & (columns_BT <= firsts_B[:, None])
        in_second_BT = (columns_BT >= second_B[:, None]) & (columns_BT < end_B[:, None])
        places_BT = np.where(
            in_first_BT,
            begins_B[:, None] + columns_BT - 1,
            others_B[:, None] + columns_BT - second_B[:, None],
        )
        scored_BT = in_first_BT | in_second_BT
        batch = gather(self.stream, np.where(scored_BT, places_BT, 0), scored_BT)
        exists_BT = columns_BT <= end_B[:, None]
        return batch.replace(
            tokens_BT=batch.targets_BT,
            segment_ids_BT=np.where(exists_BT, 0, PADDING).astype(np.int32),
            token_types_BT=(exists_BT & (columns_BT >= second_B[:, None])).astype(np.int32),
            is_next_B=is_next_B,
        )

    def distinct_targets(self, steps: int) -> int:
        edges_N = np.zeros(len(self.stream.tokens_N) + 1, np.int64)
        for step in range(steps):
            begins_B, firsts_B, others_B, sizes_B, _ = self._draw_pairs(step)
            for starts_B, lengths_B in ((begins_B, firsts_B), (others_B, sizes_B - firsts_B)):
                np.add.at(edges_N, starts_B, 1)
                np.add.at(edges_N, starts_B + lengths_B, -1)
        return int((np.cumsum(edges_N)[:-1] > 0).sum())

    def _draw_pairs(self, step: int) -> tuple[np.ndarray, ...]:
        """Where each first text begins, its length, where the other begins, both lengths' sum."""
        pieces_B = step * self.rows + np.arange(self.rows)
        epoch_B, place_B = np.divmod(pieces_B, len(self._begins_N))
        pieces_B = np.concatenate(
            [self._order(int(epoch))[place_B[epoch_B == epoch]] for epoch in np.unique(epoch_B)]
        )
        generator = np.random.default_rng((self.seed, Draw.SENTENCE_PAIRS, step))
        begins_B, sizes_B = self._begins_N[pieces_B], self._sizes_N[pieces_B]
        firsts_B = generator.integers(1, sizes_B)
        is_next_B = generator.random(self.rows) < 0.5
        needed_B = sizes_B - firsts_B
        lowest_B = np.searchsorted(self._sizes_N[self._by_size_N], needed_B)
        others_B = self._by_size_N[generator.integers(lowest_B, len(self._by_size_N))]
        room_B = self._sizes_N[others_B] - needed_B
        elsewhere_B = self._begins_N[others_B] + generator.integers(0, room_B + 1)
        others_B = np.where(is_next_B, begins_B + firsts_B, elsewhere_B)
        return begins_B, firsts_B, others_B, sizes_B, is_next_B

    def _draw_order(self, epoch: int) -> np.ndarray:
        generator = np.random.default_rng((self.seed, Draw.DOCUMENT_ORDER, epoch))
        return generator.permutation(len(self._begins_N))
