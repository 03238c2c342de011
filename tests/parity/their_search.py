"""Greedy and beam search of transformers and ours, side by side on one model."""

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.generation.beam import Beam, beam_search
from lmjax.generation.generate import generate
from lmjax.generation.sampling import Sampler

torch = pytest.importorskip("torch")
NEW, WIDTH, PENALTY, N_BEST = 12, 4, 0.5, 3


def check_search(theirs, ours, params, prompts, source=None):
    """The same tokens, greedily and as the best of a beam, the latter with the same scores.

    What ends a text is the token that greedy search comes to most often.
    """
    source = source or {}
    inputs = torch.tensor(source.get("source_BS", np.array(prompts)), dtype=torch.long)
    mask = torch.tensor(source.get("source_weights_BS", np.ones(inputs.shape)), dtype=torch.long)
    settings = theirs.generation_config
    settings.forced_eos_token_id = None
    settings.decoder_start_token_id = prompts[0][0] if source else None

    def their_rows(eos, **options):
        found = theirs.generate(
            inputs,
            attention_mask=mask,
            do_sample=False,
            use_cache=False,  # T5's has the layers of its encoder, of which there are fewer
            max_new_tokens=NEW,
            eos_token_id=eos,
            pad_token_id=eos,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
        return found.sequences[:, len(prompts[0]) :].tolist(), found

    def our_rows(eos):
        return generate(
            ours,
            params,
            [prompt[1:] for prompt in prompts],
            length=NEW,
            sampler=Sampler(temperature=0),
            seed=0,
            start_id=prompts[0][0],
            end_id=eos,
            **source,
        )

    never = ours.vocabulary_size + 1
    free, _ = their_rows(never, num_beams=1)
    np.testing.assert_array_equal(our_rows(None), free)
    eos = int(np.bincount(np.ravel(free)).argmax())
    assert our_rows(eos) == [_until(row, eos) for row in their_rows(eos, num_beams=1)[0]]

    rows, found = their_rows(
        eos,
        num_beams=WIDTH,
        num_return_sequences=N_BEST,
        length_penalty=PENALTY,
        early_stopping="never",
    )
    ours_found = beam_search(
        ours,
        params,
        prompts,
        Beam(WIDTH, N_BEST, normalization="division", length_penalty=PENALTY),
        lengths=[NEW] * len(prompts),
        end_id=eos,
        **{name: jnp.asarray(array) for name, array in source.items()},
    )
    flat = sum(ours_found, [])
    for row, hypothesis in zip(rows, flat, strict=True):
        assert hypothesis.tokens == _until(row, eos)
    assert any(hypothesis.ended for hypothesis in flat)
    np.testing.assert_allclose(
        [hypothesis.score for hypothesis in flat], found.sequences_scores.numpy(), rtol=1e-4
    )


def _until(row, eos):
    return row[: row.index(eos)] if eos in row else row
