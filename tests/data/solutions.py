"""Solutions of the generated tasks by the definitions of their papers, one example at a time.

Each is given the tokens of an example and returns the answers by the place at which they count.
They share nothing with the code that is tested.
"""

from collections import Counter
from fractions import Fraction


def mqar(tokens, pairs=4):
    values = {tokens[2 * i]: tokens[2 * i + 1] for i in range(pairs)}
    return {t: values[tokens[t]] for t in range(2 * pairs, len(tokens)) if tokens[t] != 0}


def selective_copying(tokens):
    symbols = [token for token in tokens if token > 1]
    return dict(zip([t for t, token in enumerate(tokens) if token == 1], symbols, strict=True))


def induction(tokens):
    return {len(tokens) - 1: tokens[tokens.index(0) + 1]}


def in_context_ngram(tokens, order):
    answers = {}
    for t in range(order - 1, len(tokens)):
        context, followers = tokens[t - order + 2 : t + 1], Counter()
        for s in range(t):
            # The first token that is drawn from the language follows the first whole context.
            if s - order + 2 >= 0 and tokens[s - order + 2 : s + 1] == context:
                followers[tokens[s + 1]] += 1
        best = followers.most_common(2)
        if best and (len(best) == 1 or best[0][1] > best[1][1]):
            answers[t] = best[0][0]
    return answers


def dyck(tokens):
    answers, open_kinds = {}, []
    for t, token in enumerate(tokens):
        if token:
            open_kinds.append(token)
        else:
            answers[t] = open_kinds.pop()
    assert not open_kinds
    return answers


def even_pairs(symbols):
    pairs = Counter(zip(symbols, symbols[1:], strict=False))
    return [(pairs[0, 1] + pairs[1, 0]) % 2]


def parity_check(symbols):
    return [symbols.count(1) % 2]


def cycle_navigation(symbols):
    place = 0
    for symbol in symbols:
        place = {0: place - 1, 1: place, 2: place + 1}[symbol] % 5
    return [place]


def modular_arithmetic(symbols):
    return [eval("".join("01234+-*"[symbol] for symbol in symbols)) % 5]


def modular_arithmetic_brackets(symbols):
    return [eval("".join("01234+-()"[symbol] for symbol in symbols)) % 5]


def solve_equation(symbols):
    left, right = "".join("01234+-()x="[symbol] for symbol in symbols).split("=")
    solutions = [x for x in range(5) if eval(left, {"x": x}) % 5 == int(right)]
    assert len(solutions) == 1
    return solutions


def stack_manipulation(symbols):
    stack = []
    for symbol in symbols:
        pushed = {0: 0, 1: 1, 3: 0, 4: 1}.get(symbol)
        stack = stack[:-1] if pushed is None else [*stack, pushed]
    return [*reversed(stack), 2]


def reverse_string(symbols):
    return [symbols[-1 - t] for t in range(len(symbols))]


def duplicate_string(symbols):
    return symbols + symbols


def missing_duplicate(symbols):
    string = [symbol for symbol in symbols if symbol != 3]
    half = len(string) // 2
    place = string.index(2)
    return [string[place - half] if place >= half else string[place + half]]


def odds_first(symbols):
    numbered = list(enumerate(symbols, start=1))
    return [s for n, s in numbered if n % 2 == 1] + [s for n, s in numbered if n % 2 == 0]


def _number(digits):
    return sum(digit << place for place, digit in enumerate(digits))


def _digits(number):
    found = []
    while number:
        number, digit = divmod(number, 2)
        found.append(digit)
    return found


def binary_addition(symbols):
    cut = symbols.index(2)
    return [*_digits(_number(symbols[:cut]) + _number(symbols[cut + 1 :])), 2]


def binary_multiplication(symbols):
    cut = symbols.index(2)
    return [*_digits(_number(symbols[:cut]) * _number(symbols[cut + 1 :])), 2]


def compute_sqrt(symbols):
    number, root = Fraction(_number(symbols[::-1])), 0
    for bit in reversed(range(len(symbols))):
        if (root + (1 << bit)) ** 2 <= number:
            root += 1 << bit
    answer = _digits(root)[::-1]
    return [0] * ((len(symbols) + 1) // 2 - len(answer)) + answer


def bucket_sort(symbols):
    counts = Counter(symbols)
    return [symbol for symbol in range(5) for _ in range(counts[symbol])]
