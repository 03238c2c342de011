"""What was measured of a claim: verdicts, what may be put together, and the file."""

import json
from dataclasses import replace

import pytest

from lmjax.errors import UserError
from lmjax.studies.claim_results import ClaimResult, Part, read_result, verdict, write_result
from lmjax.studies.claims import Claim
from lmjax.studies.claims_table import measured, readme_table

CLAIM = Claim(
    id="toy",
    number=1,
    paper="Somebody 2020, A paper",
    variant="a toy",
    corpus="ptb",
    metric="perplexity",
    published={"validation": 120.0, "test": 114.5},
    certainty="source file",
    where="a README",
    tier="cpu",
    status="runnable",
    experiment="experiments/toy.py",
    tolerance=1.5,
)


def result(validation, test, seeds=("0",), **fields):
    key = ("carried", 82430, "text-tokens")
    spread = {seed: number - (len(seeds) - 1) / 2 for number, seed in enumerate(seeds)}
    parts = {
        name: Part({seed: value + more for seed, more in spread.items()}, *key)
        for name, value in (("validation", validation), ("test", test))
    }
    runs = {seed: {"minutes": 1.0} for seed in seeds}
    return replace(ClaimResult("toy", "e.py", "perplexity", "ptb", parts, runs=runs), **fields)


@pytest.mark.parametrize(
    ("found", "changes", "expected"),
    [
        (result(120.7, 114.0), {}, "reproduced"),
        (result(121.5, 113.0), {}, "reproduced"),
        (result(122.0, 116.28), {}, "missed by +2.00 (validation), +1.78 (test)"),
        (result(120.0, 112.0), {}, "missed by -2.50 (test)"),
        (result(120.0, 115.5, ("0", "1", "2")), {}, "reproduced"),
        (result(120.0, 114.5, shortened="half"), {}, "not run (needs its full size; this is half)"),
        (None, {}, "not run (needs a CPU)"),
        (None, {"cost": {"minutes": 30}}, "not run (needs 30 minutes of a CPU)"),
        (None, {"status": "needs", "reason": "a cell"}, "not run (needs a cell)"),
        (None, {"status": "not reproducible", "reason": "why"}, "not reproducible (why)"),
        (
            None,
            {"status": "infeasible", "reason": "pods"},
            "not run (needs more than is at hand: pods)",
        ),
        (
            result(120.0, 114.5),
            {"certainty": "memory"},
            "none (the published number is not verified)",
        ),
        (result(120.0, 114.5), {"tolerance": None}, "none (no tolerance was set)"),
    ],
)
def test_verdicts(found, changes, expected):
    assert verdict(replace(CLAIM, **changes), found) == expected


def test_it_is_kept_and_read_again(tmp_path):
    found = result(120.0, 115.0, ("0", "1", "2"))
    path = write_result(tmp_path, CLAIM, found)
    assert read_result(tmp_path, CLAIM) == found
    written = json.loads(path.read_text())["parts"]["test"]
    assert written["mean"] == 115.0 and written["half_width"] == pytest.approx(2.484, abs=1e-3)
    assert measured(CLAIM, found) == "120.00 ± 2.48 / 115.00 ± 2.48 (validation / test)"
    assert read_result(tmp_path, replace(CLAIM, id="other")) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "bleu"}, "of the metric 'bleu', not 'perplexity'"),
        ({"corpus": "wikitext2"}, "of the corpus 'wikitext2'"),
        ({"parts": {"train": {"by_seed": {"0": 1.0}, "mean": 1.0}}}, "a part 'train'"),
        ({"parts": {"test": {"by_seed": {"0": 1.0}, "mean": 2.0}}}, "the mean of test is 1.0"),
        ({"parts": {"test": {"by_seed": {"0": "1"}, "mean": 2.0}}}, "by_seed.0' should be: number"),
        ({"runs": None}, "'runs' should be: object"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
    path = write_result(tmp_path, CLAIM, result(120.0, 115.0))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=message):
        read_result(tmp_path, CLAIM)


def test_seeds_are_put_together_only_of_the_same_text_and_context():
    kept, new = result(120.0, 115.0, ("0",)), result(121.0, 116.0, ("1",))
    both = kept.joined_with(new)
    assert both.parts["test"].by_seed == {"0": 115.0, "1": 116.0} and set(both.runs) == {"0", "1"}
    again = both.joined_with(result(130.0, 130.0, ("1",)))
    assert again.parts["test"].by_seed == {"0": 115.0, "1": 130.0}, "the new one counts"
    for change in ({"fingerprint": "other"}, {"context": "windowed"}, {"targets": 82429}):
        parts = {**new.parts, "test": replace(new.parts["test"], **change)}
        with pytest.raises(UserError, match="can't be put together"):
            kept.joined_with(replace(new, parts=parts))
    with pytest.raises(UserError, match="is of e.py, not of other.py"):
        kept.joined_with(replace(new, experiment="other.py"))
    with pytest.raises(UserError, match="of different seeds"):
        replace(kept, parts={"test": kept.parts["test"]}).joined_with(new)


def test_what_was_entered_by_hand_makes_way_for_what_is_measured():
    entered = result(120.0, 115.0, ("0",), source="a page")
    new = result(121.0, 116.0, ("1",))
    assert entered.joined_with(new) is new


def test_the_table_of_the_readme_has_what_was_measured():
    run = {
        "minutes": 24.6,
        "measured_on": "2026-11-29",
        "devices": ["cpu: cpu"],
        "cores": 2,
        "commit": "abc1234def",
        "dirty": False,
    }
    missed = replace(
        CLAIM, why="nobody knows", reference={"test": 116.0}, reference_from="another program"
    )
    found = result(122.0, 116.28, runs={"0": run})
    text = readme_table([(missed, found), (replace(CLAIM, id="b"), None)])
    assert (
        "| PTB perplexity: a toy (Somebody 2020) | 120 / 114.5 (validation / test) | "
        "122.00 / 116.28 (validation / test) | +2.00 / +1.78 (1.5) | "
        "1 seed, 25 min, 2026-11-29, 2 CPU cores, abc1234 | "
        "missed by +2.00 (validation), +1.78 (test): nobody knows; "
        "+0.28 from the reference 116 (another program) |"
    ) in text
    assert "shows the other 1 claims" in text
    runs = {
        "0": {"minutes": 3.0, "devices": ["gpu: H200", "gpu: H200"]},
        "1": {"minutes": 4.0, "devices": ["gpu: H200"], "commit": "abc1234def", "dirty": True},
        "2": {},
    }
    text = readme_table([(CLAIM, result(120.0, 114.5, ("0", "1", "2"), runs=runs))])
    how = "3 seeds, 3.50 min each, H200, abc1234 with changes, date not on record"
    assert f"| {how} | reproduced |" in text
