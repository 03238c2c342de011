"""Options of a model's parts go by name; what has no names is refused."""

import pytest

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.models.registry import model_class


@pytest.mark.parametrize(
    ("family", "fields", "message"),
    [
        ("transformer", dict(mixers=5), "model.mixers is 5; give options by name"),
        ("transformer", dict(mixers={"attention": 5}), "model.mixers.attention is 5; give options"),
        ("transformer", dict(mixers={"attention": {5: 1}}), "mixer 'attention' has no option 5"),
        ("transformer", dict(mixers={5: {}}), "model.mixers has options of 5"),
        ("transformer", dict(feed_forward_options=(1,)), r"feed_forward_options is \(1,\)"),
        ("transformer", dict(feed_forward_options={"gelu": "x"}), "options.gelu is 'x'; give"),
        ("transformer", dict(output_options=5), "model.output_options is 5; give options"),
        ("rnn", dict(cell_options="x"), "model.cell_options is 'x'; give options by name"),
        ("rnn", dict(output_options=5), "model.output_options is 5; give options by name"),
        ("awd_rnn", dict(first_options=5), "model.first_options is 5; give options by name"),
        ("seq2seq", dict(output_options=5), "model.output_options is 5; give options by name"),
    ],
)
def test_options_without_names_are_refused(family, fields, message):
    known = model_config(family).to_dict() | fields
    del known["name"]
    if family == "seq2seq":
        known["source_vocabulary_size"] = 8
    with pytest.raises(UserError, match=message):
        model_class(family)(vocabulary_size=8, **known)
