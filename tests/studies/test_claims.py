"""The list of published numbers: all of it is there, and what cannot be is refused by name."""

from pathlib import Path

import pytest
import yaml

from lmjax.errors import UserError
from lmjax.studies.claim_results import Part, read_result, verdict
from lmjax.studies.claims import find_claim, load_claims
from lmjax.studies.claims_table import readme_table, with_table
from lmjax.studies.reproduction import folder_of

ROOT = Path(__file__).parent.parent.parent
CLAIMS = load_claims(ROOT / "experiments" / "claims.yaml")
RESULTS = ROOT / "experiments" / "results"
ENTRY = {
    "id": "toy",
    "number": 1,
    "paper": "Somebody 2020",
    "variant": "a toy",
    "corpus": "ptb",
    "metric": "perplexity",
    "published": {"test": 100.0},
    "certainty": "source file",
    "where": "a README",
    "tier": "cpu",
    "status": "runnable",
    "experiment": "experiments/toy.py",
    "tolerance": 1.0,
}


def written(folder, *entries, **shared):
    (folder / "experiments").mkdir(exist_ok=True)
    (folder / "experiments" / "toy.py").write_text("")
    path = folder / "experiments" / "claims.yaml"
    path.write_text(yaml.safe_dump([{**shared, "claims": list(entries)}]))
    return path


def test_every_number_of_the_list_is_there():
    assert {claim.number for claim in CLAIMS} == set(range(1, 63))


def test_what_is_from_memory_is_never_judged():
    remembered = [claim for claim in CLAIMS if claim.certainty == "memory"]
    assert remembered
    for claim in remembered:
        assert verdict(claim, None) == "none (the published number is not verified)"
        assert not (RESULTS / f"{claim.id}.json").exists()


def test_every_result_is_of_a_claim():
    known = {claim.id for claim in CLAIMS if claim.status in ("runnable", "by command")}
    assert {path.stem for path in RESULTS.glob("*.json")} <= known


def test_every_miss_says_what_is_known_of_its_cause():
    pairs = [(claim, read_result(RESULTS, claim)) for claim in CLAIMS]
    missed = [claim for claim, result in pairs if verdict(claim, result).startswith("missed")]
    assert missed and [claim.id for claim in missed if not claim.why] == []


def test_the_readme_is_what_the_verb_makes():
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    pairs = [(claim, read_result(RESULTS, claim)) for claim in CLAIMS]
    assert with_table(text, readme_table(pairs), readme) == text, "lmjax reproduce --table"


def test_a_claim_has_the_fields_of_its_group_and_may_change_or_take_back_them(tmp_path):
    shared = {name: value for name, value in ENTRY.items() if name != "id"}
    path = written(
        tmp_path,
        {"id": "first"},
        {"id": "second", "tier": "gpu10", "tolerance": None, "status": "needs", "reason": "x"},
        **shared,
    )
    first, second = load_claims(path)
    assert (first.tier, first.tolerance) == ("cpu", 1.0)
    assert (second.tier, second.tolerance) == ("gpu10", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "Toy 1"}, "an id has small letters"),
        ({"papr": "x"}, "claim toy has an unknown field 'papr': did you mean 'paper'"),
        ({"paper": None}, "claim toy lacks paper"),
        ({"published": {"test": "114.5"}}, r"claim toy: 'published.test' should be: number"),
        ({"published": {}}, "claim toy is runnable, but has no published"),
        ({"tolerance": None}, "claim toy is runnable, but has no tolerance"),
        ({"tolerance": 0}, "'tolerance' should be: positive number"),
        ({"certainty": "rumour"}, "unknown certainty 'rumour'"),
        ({"status": "runable"}, "unknown status 'runable': did you mean 'runnable'"),
        ({"status": "needs"}, "its status is 'needs'; add the reason"),
        ({"status": "by command", "reason": "x"}, "and a command go together"),
        ({"command": "pytest"}, "and a command go together"),
        ({"reference": {"test": 1.0}}, "reference and reference_from go together"),
        ({"reference": {"dev": 1.0}, "reference_from": "x"}, "'dev' is of nothing published"),
        ({"reference": {"test": "1"}}, "'reference.test' should be: number"),
        ({"tier": "tpu"}, "unknown tier 'tpu'"),
        ({"metric": "speedup"}, "nothing measures 'speedup'"),
        ({"measure": {"cach": True}}, "unknown measure 'cach': did you mean 'cache'"),
        ({"measure": {"beam": "5"}}, "'measure.beam' should be: count"),
        ({"cost": {"flops": "1e12"}}, "'cost.flops' should be: positive number"),
        ({"experiment": "experiments/ty.py:small"}, "there is no experiment"),
    ],
)
def test_a_claim_that_cannot_be_is_named(tmp_path, change, message):
    entry = {name: value for name, value in {**ENTRY, **change}.items() if value is not None}
    with pytest.raises(UserError, match=message):
        load_claims(written(tmp_path, entry))


def test_what_is_there_twice_or_no_yaml_is_refused(tmp_path):
    with pytest.raises(UserError, match="claim 'toy' is there twice"):
        load_claims(written(tmp_path, ENTRY, ENTRY))
    path = written(tmp_path, ENTRY)
    text = path.read_text()
    path.write_text(text.replace("    tier: cpu", "    tier: cpu\n    tier: big"))
    with pytest.raises(UserError, match="the key 'tier' is there twice"):
        load_claims(path)
    path.write_text("- [")
    with pytest.raises(UserError, match="no YAML"):
        load_claims(path)
    path.write_text("a: 1")
    with pytest.raises(UserError, match="should be: list"):
        load_claims(path)


def test_a_mistyped_id_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'ptb_zaremba_small'"):
        find_claim(CLAIMS, "ptb_zaremba_smal")


def test_claims_share_a_folder_if_they_share_an_experiment():
    runnable = [claim for claim in CLAIMS if claim.experiment]
    folders = {(claim.experiment, folder_of(claim)) for claim in runnable}
    experiments = {claim.experiment for claim in runnable}
    assert len(folders) == len(experiments) == len({folder for _, folder in folders})
    assert len(experiments) < len(runnable)
    tied = find_claim(CLAIMS, "ptb_zaremba_small_tied")
    assert folder_of(tied) == "ptb-zaremba-small-tied"


def test_marks_are_needed():
    with pytest.raises(UserError, match="once each; add them"):
        with_table("no marks", "table", Path("README.md"))


def test_a_part_of_one_seed_has_no_interval():
    assert Part({"0": 3.0}).summary.half_width is None
