"""The properties of house and contract, for every registered model."""

import pytest

from lmjax.checks.probes import distinct_parameters
from lmjax.checks.properties import PROPERTIES, NoEmbedding, violation
from lmjax.model_defaults import MODELS
from lmjax.models.registry import FAMILIES, model_class
from tests.properties.variants import build, variants

VARIANTS = {label: (family, changes) for label, family, changes in variants()}
DERIVED = {"parent", "name", "vocabulary_size", "end_id"}
DERIVED |= {"source_vocabulary_size", "one_vocabulary", "class_id", "separator_id"}
DERIVED |= {"tells_numbers"}
READS_NO_TARGET = {"classifier", "span_finder"}


@pytest.fixture(scope="module")
def trained(request):
    """A small model and parameters that are far enough from zero to show a difference."""
    model = build(*VARIANTS[request.param])
    return model, distinct_parameters(model)


def test_every_family_has_a_variant_and_its_fields_in_the_configuration():
    assert {family for family, _ in VARIANTS.values()} == set(FAMILIES) == set(MODELS)
    for family, fields in MODELS.items():
        assert set(model_class(family).__dataclass_fields__) - DERIVED == set(fields)


CASES = [
    (label, name)
    for label, (family, _) in VARIANTS.items()
    for name in PROPERTIES[model_class(family).reads]
]


@pytest.mark.parametrize(("trained", "name"), CASES, indirect=["trained"])
def test_property(trained, name, request):
    model, params = trained
    family, _ = VARIANTS[request.node.callspec.params["trained"]]
    try:
        assert violation(name, model, params) is None
    except NoEmbedding:
        assert model.is_counted or family in READS_NO_TARGET
