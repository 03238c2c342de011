"""Each check of models that read both sides fails on a model with the fault that it is for."""

import pytest

from lmjax.checks import bidirectional_properties as checks
from lmjax.checks import properties
from lmjax.checks.probes import distinct_parameters
from lmjax.models.bilstm import BidirectionalRecurrentModel
from tests.toy_models import SurroundingsModel

FAULTS = {
    "carries": checks.nothing_is_carried,
    "ignores segments": checks.padding_changes_nothing,
    "is causal": checks.all_others_count,
    "reads targets": checks.targets_tell_nothing,
    "ignores places": checks.chosen_places_as_all,
    "reads its own": checks.own_token_is_not_read,
}


def small(fault=""):
    model = SurroundingsModel(vocabulary_size=7, fault=fault)
    return model, distinct_parameters(model)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_model_fails(fault):
    FAULTS[fault](*small())
    with pytest.raises(AssertionError):
        FAULTS[fault](*small(fault))


def test_the_sound_model_has_every_property_of_what_it_reads():
    names = properties.PROPERTIES["both"]
    assert not [name for name in names if properties.violation(name, *small())]


class LooksBack(BidirectionalRecurrentModel):
    """Its first direction reads what the other one is for."""

    def each_direction(self, tokens_BT, **context):
        return super().each_direction(tokens_BT, **context)[::-1]


class CountsHalf(BidirectionalRecurrentModel):
    """Its log-probabilities are the mean of both directions', not the sum."""

    def log_probs(self, tokens_BT, targets_BT, carry=None, **context):
        return 0.5 * super().log_probs(tokens_BT, targets_BT, carry, **context)[0], None


@pytest.mark.parametrize("kind", [LooksBack, CountsHalf])
def test_directions_that_are_not_what_they_should_be_fail(kind):
    model = kind(7, "gru", 1, 4, 0, 0.0, 0.0, 0.0)
    with pytest.raises(AssertionError):
        checks.each_direction_reads_its_side(model, distinct_parameters(model))
