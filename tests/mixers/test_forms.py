"""Every mixer: step after step, in parallel and in two chunks it is one function of the past."""

from dataclasses import asdict

import pytest

from lmjax.checks.mixer_forms import mixer_differences
from lmjax.mixers.registry import MIXERS
from tests.mixers.variants import MIXER_VARIANTS, mixer_variants

IDS = [f"{name}-{options}" for name, options in mixer_variants()]


def test_every_mixer_has_a_variant():
    assert set(MIXER_VARIANTS) == set(MIXERS)


@pytest.mark.parametrize(("name", "options"), mixer_variants(), ids=IDS)
def test_forms_agree_and_nothing_leaks(name, options):
    found = asdict(mixer_differences(name, options))
    print(name, options, {kind: f"{value:.0e}" for kind, value in found.items()})
    assert max(found.values()) <= 1e-4, found
