"""Every mixer: step after step, in parallel and in two chunks it is one function of the past."""

from dataclasses import asdict

import pytest

from lmjax.checks.mixer_forms import mixer_differences
from lmjax.mixers.registry import MIXERS
from tests.mixers.variants import MIXER_VARIANTS, mixer_variants

TOLERANCE = 1e-4  # of float32
NARROW_TOLERANCE = 0.05  # of bfloat16, whose numbers are 0.8 % apart
CASES = [
    pytest.param(name, options, id="-".join([name, *(f"{k}={v}" for k, v in options.items())]))
    for name, options in mixer_variants()
]


def test_every_mixer_has_a_variant():
    assert set(MIXER_VARIANTS) == set(MIXERS)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_forms_agree_and_nothing_leaks(name, options, record_property):
    found = asdict(mixer_differences(name, options))
    told = " ".join([name, *(f"{option}={value}" for option, value in options.items())])
    cells = [told, *(f"{difference:.0e}" for difference in found.values())]
    record_property("table", ["largest relative differences of mixers", ["mixer", *found], cells])
    narrow = found.pop("bfloat16")
    assert max(found.values()) <= TOLERANCE, found
    assert narrow <= NARROW_TOLERANCE
