"""The properties of house and contract, for every registered model."""

import pytest

from lmjax.checks import properties as checks
from lmjax.config import MODELS
from lmjax.models.registry import FAMILIES, model_class
from tests.properties.variants import build, variants

VARIANTS = {label: (family, changes) for label, family, changes in variants()}
COUNTED = {family for family in FAMILIES if model_class(family).is_counted}
DESCENDED = [label for label, (family, _) in VARIANTS.items() if family not in COUNTED]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def trained(request):
    """A small model and parameters that are far enough from zero to show a difference."""
    model = build(*VARIANTS[request.param])
    return model, checks.distinct_parameters(model)


def test_every_family_has_a_variant_and_its_fields_in_the_configuration():
    assert {family for family, _ in VARIANTS.values()} == set(FAMILIES) == set(MODELS)
    for family, fields in MODELS.items():
        known = set(model_class(family).__dataclass_fields__)
        assert known - {"parent", "name", "vocabulary_size", "end_id"} == set(fields)


@pytest.mark.parametrize("segments", [None, checks.draw_segments()], ids=["whole", "segments"])
def test_chunks(trained, segments):
    checks.same_in_chunks(*trained, segments)
    checks.same_without_carry(*trained, segments)


def test_carry(trained):
    checks.rows_lead_every_carry(*trained)


def test_causality(trained):
    checks.no_token_sees_a_later_one(*trained)


@pytest.mark.parametrize("trained", DESCENDED, indirect=True)
def test_causality_by_gradient(trained):
    checks.no_gradient_from_a_later_token(*trained)


@pytest.mark.parametrize("segments", [None, checks.draw_segments()], ids=["whole", "segments"])
def test_neighbours(trained, segments):
    checks.neighbours_do_not_matter(*trained, segments)


def test_segments(trained):
    checks.segments_are_read_apart(*trained)


def test_sums_to_one(trained):
    checks.probabilities_sum_to_one(*trained)
