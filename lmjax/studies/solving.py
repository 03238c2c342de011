"""The integer at which a count that grows with it comes nearest to a target."""

import functools
import math
from collections.abc import Callable

LARGEST_SIZE = 1 << 20
PATIENCE = 2  # interpolations that may leave more than half of the interval, one after another


def solve_size(
    count: Callable[[int], float],
    target: float,
    multiple_of: int = 1,
    start: int = 1,
    largest: int = LARGEST_SIZE,
) -> int:
    """The multiple of `multiple_of`, at most `largest` times it, whose count is nearest to target.

    `count` may stay the same but must not fall as the size grows. The search begins at `start`,
    asks for few counts if they grow like a square, and for at most some four times the logarithm of
    the size if not.
    """

    @functools.cache
    def root(units: int) -> float:
        return math.sqrt(count(units * multiple_of))

    goal = math.sqrt(target)
    low = high = min(max(1, start // multiple_of), largest)
    while low > 1 and root(low) > goal:
        low, high = low // 2, low
    while root(high) < goal and high < largest:
        low, high = high, min(2 * high, largest)
    slow = 0
    while high - low > 1 and root(low) < goal <= root(high):
        before = high - low
        share = (goal - root(low)) / (root(high) - root(low)) if slow < PATIENCE else 0.5
        middle = min(max(round(low + share * before), low + 1), high - 1)
        low, high = (middle, high) if root(middle) < goal else (low, middle)
        slow = slow + 1 if 2 * (high - low) > before else 0
    return multiple_of * min(low, high, key=lambda units: abs(root(units) ** 2 - target))
