"""Predict where in its source the answer to a question stands."""

from dataclasses import dataclass
from typing import Any

from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective


@dataclass(frozen=True)
class Span(Objective):
    """Minus the log-probabilities of the places of an answer's first and last token.

    Of a window in which it does not stand, of both being nowhere. Right is counted of each place.
    """

    serves = ("source",)
    needs_source = True
    batchings = ("documents",)
    scores_text = False
    tells_right = True

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        if not isinstance(tokenizer.target, SpanTokenizer):
            raise UserError(
                "objective 'span' tells places of answers, and the targets are tokens of a text; "
                "set data.tokenizer='span' and data.source_tokenizer to that of the sources"
            )
        return {}

    def check(self, data: Any, model: LanguageModel) -> None:
        if not getattr(model, "finds_spans", False):
            raise UserError(
                "objective 'span' needs a model that points at tokens of its source; set "
                "model.name='span_finder'"
            )
        if data.cut_sources:
            raise UserError(
                "data.cut_sources would cut off answers, which stand at places of a text; leave "
                "it out: a long text is read in windows"
            )

    def nats_of(self, model: LanguageModel) -> str:
        return "places"

    def row_length(self, data: Any) -> int:
        return 2

    def row_targets(self, data: Any) -> int:
        return 2
