"""Trains gensim's word2vec with the settings of an experiment, on the same words in the same rows.

python -m tests.parity.word2vec_by_gensim EXPERIMENT.py:skip_gram VECTORS.txt

The learning rate is gensim's own, since its steps are single pairs. Compare the vectors by
`lmjax vectors evaluate --file=VECTORS.txt`.
"""

import os
import sys
import time

from gensim.models import Word2Vec

from lmjax.api import load_experiment
from lmjax.data.dataset import open_dataset


def main(reference: str, output: str) -> None:
    """Trains the model of `skip_gram` or `cbow` and saves its vectors."""
    config = load_experiment(reference)
    dataset, objective, rows = open_dataset(config.data), config.objective, config.data.length
    symbols = dataset.tokenizer.symbols()
    words = [symbols[token] for token in dataset.splits["train"].tokens_N]
    start = time.monotonic()
    model = Word2Vec(
        [words[first : first + rows] for first in range(0, len(words), rows)],
        vector_size=config.model.width,
        sg=int(objective.name == "skip_gram"),
        hs=0,
        window=objective.window,
        negative=objective.negatives,
        ns_exponent=objective.noise_power,
        sample=objective.subsampling,
        cbow_mean=1,
        min_count=1,
        epochs=int(config.training.duration.removesuffix(" epochs")),
        seed=config.seed,
        workers=os.cpu_count(),
    )
    print(f"{time.monotonic() - start:.0f} s")
    model.wv.save_word2vec_format(output, binary=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
