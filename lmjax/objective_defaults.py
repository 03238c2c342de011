"""Every field of each objective, as `config.objective` has them: its default, what it is."""

from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest

NOISE = dict(
    window=5,  # words to each side, at most; drawn for each word
    negatives=5,  # noise words for each pair
    noise_words=64,  # drawn for each row, which share the weight of the negatives
    noise_power=0.75,  # of a word's count, in its probability as noise
    subsampling=1e-3,  # share of the text above which a word is left out at random; 0: none is
)

# What is predicted of which text: the fields of each objective.
OBJECTIVES = {
    "causal": dict(),  # each token from those before it
    "masked": dict(  # hidden tokens from those on both sides of them (Devlin et al. 2019)
        share=0.15,  # of each row's tokens that are hidden
        mask_share=0.8,  # of those that are shown as the mask
        random_share=0.1,  # of those that are shown as any token; the others as they are
        whole_words=False,  # hide all tokens of a word, or none
        next_sentence=False,  # predict, too, whether a pair's second text follows the first
        evaluation="complementary",  # complementary | pseudo_likelihood (one token at a time)
        evaluation_passes=7,  # complementary: in which each target is hidden once
        evaluation_seed=0,  # complementary: of what is hidden in which pass
    ),
    "span_corruption": dict(  # spans left out of a text, from the others (Raffel et al. 2020)
        noise_density=0.15,  # of the tokens that are left out
        mean_span=3.0,  # tokens of a span
        evaluation_seed=0,  # of what is left out in evaluation
    ),
    "classification": dict(  # the label of a source
        class_weights="none",  # none | balanced (a label counts the more the rarer it is)
        label_smoothing=0.0,  # of a target's probability, spread over all labels
    ),
    "regression": dict(),  # the number of a source
    "span": dict(),  # where in its source an answer stands
    "answers": dict(),  # those of a generated task
    "both_directions": dict(),  # each token from those before it, and from those after it
    "prefix": dict(),  # a target from its source, read before it in the same row
    "seq2seq": dict(),  # a target from its source, read by an encoder
    "skip_gram": NOISE,  # from each word those near it, told from noise words
    "cbow": NOISE,  # each word from those near it, told from noise words
    "glove": dict(  # how often two words stand near each other
        window=10,  # words to each side
        x_max=100.0,  # the count from which on a pair has the weight 1
        alpha=0.75,  # the power of the count in the weights below
    ),
}


def objective_config(name: str) -> ConfigDict:
    """The default fields of one objective; raises UserError for an unknown `name`."""
    if name not in OBJECTIVES:
        raise UserError(f"unknown objective {name!r}: {nearest(name, OBJECTIVES)}")
    return ConfigDict(dict(name=name, **OBJECTIVES[name]))
