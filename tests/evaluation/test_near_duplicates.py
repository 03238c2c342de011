"""Shared shingles and runs against their definitions, done by hand and by difflib."""

import difflib
import json

import numpy as np
import pytest

from lmjax.cli.main import main
from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.evaluation.min_hash import near_duplicates
from lmjax.evaluation.near_duplicates import Overlap, Shingles, Span, Units, overlap, shared_spans

QUERY = "The cat sat on the mat.\nIt slept all day, and dreamt of mice."
COPY = "Once: it slept ALL day\nand dreamt of birds; the cat sat on the mat"


def texts(seed, count, letters="abc", longest=40):
    generator = np.random.default_rng(seed)
    return [
        "".join(generator.choice([*letters], generator.integers(1, longest))) for _ in range(count)
    ]


def units(text, unit="characters"):
    return Units.of(text, unit)


def test_overlap_is_that_of_the_sets():
    shared = overlap(units(QUERY, "words"), units(COPY, "words"), 3)
    # cat sat on .. the mat: 4 of the query's; it slept all .. and dreamt of: 5
    assert shared == Overlap(shared=9, query=12, document=13)
    assert shared.containment == 9 / 12 and shared.jaccard == 9 / 16
    assert overlap(units(QUERY, "words"), units(QUERY, "words"), 3).jaccard == 1
    assert overlap(units("a b", "words"), units("a b c", "words"), 5).shared == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_span_is_the_longest_common_run(seed):
    query, document = texts(seed, 2)
    found = shared_spans(units(query), units(document), 2, 5)
    matcher = difflib.SequenceMatcher(None, query, document, autojunk=False)
    longest = matcher.find_longest_match().size
    assert (found[0].length if found else 1) == max(1, longest)
    taken = np.zeros(len(query), int)
    for span in found:
        same = query[span.query : span.query + span.length]
        assert same == document[span.document : span.document + span.length]
        taken[span.query : span.query + span.length] += 1
    assert taken.max(initial=0) <= 1
    lengths = [span.length for span in found]
    assert lengths == sorted(lengths, reverse=True)
    everywhere = shared_spans(units(query), units(document), 2, 99)
    covered = sum(span.length for span in everywhere)
    pairs = {document[i : i + 2] for i in range(len(document) - 1)}
    in_pairs = np.zeros(len(query), bool)
    for i in range(len(query) - 1):
        if query[i : i + 2] in pairs:
            in_pairs[i : i + 2] = True
    assert longest < 2 or longest <= covered <= in_pairs.sum()


def test_a_longer_run_that_begins_inside_a_shorter_one_is_found():
    found = shared_spans(units("abcde"), units("abc bcde"), 3, 1)
    assert found == [Span(length=4, query=1, document=3)]


def test_places_are_those_of_the_texts():
    query, document = Document("q", QUERY), Document("d", COPY)
    shingles = Shingles(size=3)
    (row,) = shingles.overlaps([query], [document])
    match = shingles.match(query, document, row[0])
    first = match.spans[0]
    assert first["length"] == 7 and first["text"] == "It slept all day, and dreamt of"
    assert first["query"]["line"] == 2 and first["document"]["line"] == 1
    for side, text in (("query", QUERY), ("document", COPY)):
        begin, end = first[side]["characters"]
        assert [*Units.of(text[begin:end], "words").texts] == [
            "it",
            "slept",
            "all",
            "day",
            "and",
            "dreamt",
            "of",
        ]
    assert [span["text"] for span in match.spans] == [first["text"], "The cat sat on the mat"]


def test_a_query_shorter_than_a_shingle_is_looked_for_as_a_whole():
    shingles = Shingles(size=5)
    documents = [Document("a", "so it slept all the day"), Document("b", "all of it slept")]
    (row,) = shingles.overlaps([Document("q", "slept all")], documents)
    assert [shared.shared for shared in row] == [1, 0]
    assert shingles.match(Document("q", "slept all"), documents[0], row[0]).spans[0]["length"] == 2


def test_near_duplicates_are_all_pairs_that_are_alike():
    generator = np.random.default_rng(0)
    words = [[str(word) for word in generator.integers(0, 500, 60)] for _ in range(40)]
    words += [[*each[:-3], "x", "y", "z"] for each in words[:5]]
    documents = [Document(str(i), " ".join(each)) for i, each in enumerate(words)]
    documents.append(Document("empty", "..."))
    found = near_duplicates(documents, Shingles(size=2), threshold=0.5)
    assert {pair[:2] for pair in found} == {(i, 40 + i) for i in range(5)}
    for first, second, shared in found:
        sets = [{*Units.of(documents[i].text, "words").runs(2)} for i in (first, second)]
        assert shared.jaccard == len(sets[0] & sets[1]) / len(sets[0] | sets[1]) > 0.5
    with pytest.raises(UserError, match="more than 0 and at most 1"):
        near_duplicates(documents, Shingles(), threshold=0)


def test_the_command_line_without_a_model(tmp_path, capsys):
    (tmp_path / "copied.txt").write_text(COPY)
    (tmp_path / "own.txt").write_text("Nothing of it is here at all.")
    (tmp_path / "query.md").write_text(QUERY)
    corpus, query = f"--corpus={tmp_path}/*.txt", f"--query={tmp_path}/query.md"
    assert main(["similar", corpus, query, "--size=3"]) == 0
    told = json.loads(capsys.readouterr().out)
    (match,) = told["queries"][0]["matches"]
    assert match["document"] == "copied.txt" and match["containment"] == 9 / 12
    assert main(["similar", corpus, "--threshold=0.9"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 0
    for wrong, says in (
        ([query], "--corpus=FILES is missing"),
        ([corpus], "give --query=FILE"),
        ([corpus, query, "--unit=word"], "did you mean 'words'"),
        ([corpus, query, "--size=0"], "size is 0"),
        ([corpus, query, "--step=3"], "--step is of the run in --workdir"),
        ([corpus, "--threshold=0.9", "--workdir=x"], "--workdir is of no use with --threshold"),
        ([corpus, f"--query={tmp_path}/none.txt"], "no file matches --query"),
    ):
        assert main(["similar", *wrong]) == 2
        assert says in capsys.readouterr().err
