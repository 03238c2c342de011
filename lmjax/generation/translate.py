"""Translates texts with any model that was trained to write targets to sources."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError
from lmjax.generation.beam import Beam, beam_search
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective


class Translation(NamedTuple):
    """A text that was written to a source."""

    text: str  # in one line
    log_prob: float  # in nats, of all its tokens and `<eos>`
    score: float  # log_prob divided by the penalty of the length: higher is better
    tokens: tuple[int, ...]  # without `<eos>`


def translate(
    model: LanguageModel,
    params: Any,
    objective: Objective,
    tokenizer: Tokenizer,
    sources: Sequence[str],
    beam: Beam,
    *,
    end_id: int | None,
    longest: int = 0,
    prefix: str = "",
    rows: int = 32,
    cut: int = 0,
    on_translated: Callable[[int], None] | None = None,
) -> list[list[Translation]]:
    """The best translations of each source, best first, at most `beam.n_best`.

    A translation has at most `longest` tokens; 0: twice those of its source and 10 more. It begins
    with `prefix`. Of a source of more than `cut` tokens the first are read; 0: all. One without any
    has an empty translation. Sources of about one length are searched for together, at most `rows`
    of them; `on_translated` is given how many were done.

    Raises UserError for a source or prefix that the tokenizer can't encode or the model has no room
    for, and as `beam_search`.
    """
    if rows < 1 or longest < 0:
        raise UserError(f"rows are {rows} and longest is {longest}; give 1 and 0 or more")
    if 0 < longest < beam.min_length:
        raise UserError(
            f"translations are to have at least {beam.min_length} tokens and at most {longest}; "
            "lower the first or raise the second"
        )
    reader = tokenizer.source
    encoded = [reader.encode_source(source, longest=cut).tolist() for source in sources]
    for place, tokens in enumerate(encoded):
        _check_room(model, place, len(tokens))
    prefix_ids = tokenizer.encode_prompt(prefix).tolist()
    found = [[Translation("", 0.0, 0.0, ())] for _ in sources]
    for places in _batches(encoded, rows):
        filled = [encoded[place] for place in places]
        filled += filled[-1:] * (min(rows, len(sources)) - len(filled))
        prompts, inputs = objective.prompts(filled, tokenizer.start_id, model.longest_context)
        lengths = [
            _length(model, place, prompt, longest or 2 * len(encoded[place]) + 10)
            for place, prompt in zip(places, prompts, strict=False)
        ]
        lengths += lengths[-1:] * (len(filled) - len(lengths))
        hypotheses = beam_search(
            model,
            params,
            prompts,
            beam,
            lengths=[max(length, beam.min_length, len(prefix_ids) + 1) for length in lengths],
            end_id=end_id,
            prefixes=[prefix_ids] * len(filled),
            **inputs,
        )
        for place, row in zip(places, hypotheses, strict=False):
            found[place] = [
                Translation(_line(tokenizer, tokens), log_prob, score, tuple(tokens))
                for tokens, log_prob, score, _ in row
            ]
        if on_translated:
            on_translated(len(places))
    return found


def _batches(encoded: list[list[int]], rows: int) -> Iterator[list[int]]:
    """The places of what has tokens, `rows` at a time, the longest first."""
    places = [place for place, source in enumerate(encoded) if source]
    places.sort(key=lambda place: -len(encoded[place]))
    for begin in range(0, len(places), rows):
        yield places[begin : begin + rows]


def _length(model: LanguageModel, place: int, prompt: list[int], longest: int) -> int:
    """The most tokens that the model may write after a prompt."""
    if model.longest_context is None:
        return longest
    _check_room(model, place, len(prompt), " with its separator")
    return min(longest, model.longest_context - len(prompt) + 1)


def _check_room(model: LanguageModel, place: int, tokens: int, with_what: str = "") -> None:
    if model.longest_context is not None and tokens > model.longest_context:
        raise UserError(
            f"source {place + 1} takes {tokens} tokens{with_what}, more than the model's longest "
            f"context, {model.longest_context}; shorten it, or train with data.cut_sources"
        )


def _line(tokenizer: Tokenizer, tokens: list[int]) -> str:
    return " ".join(tokenizer.decode(tokens).split("\n")).strip()
