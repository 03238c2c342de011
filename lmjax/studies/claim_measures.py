"""Measures a trained model as a published number was measured."""

from typing import Any

from rich.console import Console

from lmjax.errors import UserError
from lmjax.evaluation.estimate import random_window_means
from lmjax.evaluation.splits import check_split, log_read
from lmjax.generation.beam import Beam
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.claims import Claim
from lmjax.trained.trained import Trained

READER = "lmjax reproduce"
DRAWS = 40  # of random batches: one draw says mostly which windows were drawn
SIMILARITIES = ("wordsim_353", "simlex_999")

# Of each published number its counterpart, and context, targets and fingerprint of that.
Parts = dict[str, tuple[float, tuple[str | None, int | None, str | None]]]
Measured = tuple[Parts, dict[str, Any]]  # and what else there is to say


def measure(claim: Claim, trained: Trained, console: Console) -> Measured:
    """The counterpart of each published number of a claim, and what else there is to say of them.

    What the run's results have is taken from there; the rest is measured, and all but an estimate
    on random batches kept there as well.
    Raises UserError for a number that the run can't have.
    """
    if claim.metric == "bleu":
        return _bleu(claim, trained, console)
    if claim.metric == "spearman":
        return _spearman(claim, trained)
    if claim.measure.get("random_batches"):
        return _on_random_batches(claim, trained)
    if claim.measure.get("cache"):
        return _with_cache(claim, trained, console)
    return _scored(claim, trained, console)


def _scored(claim: Claim, trained: Trained, console: Console) -> Measured:
    kept = RunDirectory(trained.workdir).results()["splits"]
    parts = {}
    for split in claim.published:
        score = kept.get(split)
        if score is None:
            score = trained.evaluate(split, reader=READER, console=console).to_json()
        parts[split] = _value(claim, score), (score["context"], *_text(score))
    return parts, {}


def _with_cache(claim: Claim, trained: Trained, console: Console) -> Measured:
    run = RunDirectory(trained.workdir)
    for split in claim.published:
        kept = run.results().get("adapted", {}).get("unigram_cache", {"splits": {}})
        if split not in kept["splits"]:
            trained.evaluate_with_cache(split, reader=READER, console=console)
    kept = run.results()["adapted"]["unigram_cache"]
    parts = {}
    for split in claim.published:
        score = kept["splits"][split]
        context = score["context"].partition("_unigram_cache")[0]  # lengths may differ by seed
        parts[split] = _value(claim, score), (f"{context}, unigram cache", *_text(score))
    chosen = {name: kept[name] for name in ("length", "weight", "tuned_on")}
    return parts, {"unigram_cache": chosen}


def _on_random_batches(claim: Claim, trained: Trained) -> Measured:
    """Mean nats a token over random windows, as nanoGPT's estimate, but over DRAWS of them.

    The rest to say is the first draw, and the deviation over draws.
    """
    batches, data = claim.measure["random_batches"], trained.config.data
    context = f"random windows of {data.length}"
    dataset = trained.dataset()
    parts, draws = {}, {}
    for split in claim.published:
        check_split(split, dataset)
        stream = dataset.splits[split]
        log_read(
            RunDirectory(trained.workdir),
            split,
            f"estimate the loss on {DRAWS} draws of {batches} random batches of",
            step=trained.step,
            context=context,
            fingerprint=stream.fingerprint,
            reader=READER,
        )
        means = random_window_means(
            trained.model, trained.params, stream, trained.config, DRAWS * batches
        )
        each = means.reshape(DRAWS, batches).mean(axis=1)
        targets = DRAWS * batches * data.batch_size * data.length
        parts[split] = float(each.mean()), (context, targets, stream.fingerprint)
        draws[split] = {"first": float(each[0]), "deviation": float(each.std(ddof=1))}
    return parts, {"draws": {"number": DRAWS, **draws}}


def _bleu(claim: Claim, trained: Trained, console: Console) -> Measured:
    beam = Beam(claim.measure.get("beam", Beam.width))
    run, parts, signature = RunDirectory(trained.workdir), {}, ""
    for split in claim.published:
        kept = run.results().get("translations", {}).get(split, {}).get(str(beam))
        if kept is None:
            kept = trained.translate_split(split, beam, reader=READER, console=console).measured
        fingerprint = run.results()["fingerprints"][split]
        parts[split] = kept["bleu"], (str(beam), kept["sentences"], fingerprint)
        signature = kept["bleu_signature"]
    return parts, {"bleu_signature": signature}


def _spearman(claim: Claim, trained: Trained) -> Measured:
    """Of word vectors and people's ratings; the published numbers bear the names of the tests."""
    run = RunDirectory(trained.workdir)
    tests = run.results().get("word_vectors") or trained.evaluate_word_vectors()
    fingerprint = run.results()["fingerprints"]["train"]
    parts = {}
    for name in claim.published:
        found = tests.get(name) if name in SIMILARITIES else None
        if not found or found["spearman"] is None:
            raise UserError(f"{claim.id}: its run has no correlation {name!r} of word vectors")
        parts[name] = found["spearman"], ("cosine", found["covered"], fingerprint)
    return parts, {}


def _value(claim: Claim, score: dict[str, Any]) -> float:
    """The claim's metric in a score; an accuracy in percent, as papers have it."""
    value = score[claim.metric]
    if value is None:
        raise UserError(f"{claim.id}: its text has no {claim.metric}, or its model none")
    return 100 * value if claim.metric == "accuracy" else value


def _text(score: dict[str, Any]) -> tuple[int, str]:
    return score["tokens"], score["fingerprint"]
