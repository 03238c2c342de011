import pytest

from lmjax.errors import UserError
from lmjax.training.durations import Clock

CLOCK = Clock(steps_per_epoch=40, tokens_per_step=128).with_total("5 epochs")


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        ("7 steps", 7),
        ("1 step", 1),
        ("2,000 steps", 2000),
        ("2.5 epochs", 100),
        ("1280 tokens", 10),
        ("1.28e3 tokens", 10),
        ("10 percent", 20),
        ("10%", 20),
        ("0 steps", 0),
        ("0.01 percent", 1),
    ],
)
def test_durations_in_steps(duration, steps):
    assert CLOCK.steps(duration) == steps


@pytest.mark.parametrize(
    "wrong", ["ten steps", "10", "10 parsecs", "-1 steps", "inf epochs", "nan %", "1e18 steps"]
)
def test_what_is_no_duration_is_refused(wrong):
    with pytest.raises(UserError, match=wrong.split()[0]):
        CLOCK.steps(wrong)


def test_the_whole_duration_cannot_be_a_percentage_or_nothing():
    clock = Clock(steps_per_epoch=40, tokens_per_step=128)
    with pytest.raises(UserError, match="whole"):
        clock.with_total("10 percent")
    with pytest.raises(UserError, match="longer than zero"):
        clock.with_total("0 steps")
