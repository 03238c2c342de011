"""`lmjax similar`: texts that share what a query says, word for word or in their vectors."""

from typing import Any

from absl import flags

from lmjax.cli.flags import define_workdir, parse, refuse_beside
from lmjax.errors import UserError

EXAMPLE = """lmjax similar --corpus='essays/*.txt' --query=handed_in.txt
         lmjax similar --corpus='essays/*.txt' --query=handed_in.txt --workdir=runs/minilm
         lmjax similar --corpus=poems.jsonl --threshold=0.5 --unit=characters --size=8"""


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "similar",
        "the documents of a corpus that share most with a query, or near duplicates in the corpus",
        EXAMPLE,
        _define,
        arguments,
    )
    if values is None:
        return 0
    if not values.corpus:
        raise UserError("--corpus=FILES is missing: a file, folder or glob of .txt, .md or .jsonl")
    if not values.query and values.threshold is None:
        raise UserError(
            "give --query=FILE to find what is like it, or --threshold=0.5 to find near "
            "duplicates within the corpus"
        )
    if values.query and values.threshold is not None:
        raise UserError("--threshold is of near duplicates within the corpus; leave it or --query")
    if not values.query:
        refuse_beside("--threshold", values, "workdir")
    if not values.workdir and values["step"].present:
        raise UserError("--step is of the run in --workdir; add that or leave --step out")
    if values.most < 1:
        raise UserError(f"--most is {values.most}; give 1 or more")

    from lmjax.data.text_files import read_documents_of
    from lmjax.evaluation.near_duplicates import Shingles
    from lmjax.runs.files import to_json

    shingles = Shingles(values.unit, values.size, values.spans)
    documents = read_documents_of(values.corpus, "--corpus")
    if values.query:
        queries = read_documents_of(values.query, "--query")
        result = _of_queries(values, queries, documents, shingles)
    else:
        result = _within(values, documents, shingles)
    about = {"documents": len(documents), "unit": values.unit, "size": values.size}
    print(to_json({**about, **result}, indent=2))
    return 0


def _of_queries(values, queries, documents, shingles) -> dict[str, Any]:
    cosines_AB = _cosines(values, queries, documents)
    found = []
    for number, (query, row) in enumerate(
        zip(queries, shingles.overlaps(queries, documents), strict=True)
    ):
        places = [place for place, shared in enumerate(row) if shared.shared]
        places.sort(key=lambda place: (-row[place].containment, -row[place].jaccard))
        shown = places[: values.most]
        if cosines_AB is not None:  # also those that say the same in other words
            nearest = (-cosines_AB[number]).argsort(kind="stable")[: values.most].tolist()
            shown += [place for place in nearest if place not in shown]
        matches = []
        for place in shown:
            match = shingles.match(query, documents[place], row[place])
            cosine = {} if cosines_AB is None else {"cosine": float(cosines_AB[number, place])}
            matches.append(_shown(match.document.name, match.overlap, cosine, match.spans))
        found.append({"query": query.name, "sharing": len(places), "matches": matches})
    return {"queries": found}


def _within(values, documents, shingles) -> dict[str, Any]:
    from lmjax.evaluation.min_hash import near_duplicates

    pairs = []
    found = near_duplicates(documents, shingles, values.threshold)
    for first, second, shared in found[: values.most]:
        match = shingles.match(documents[first], documents[second], shared)
        pair = {"first": documents[first].name}
        pairs.append(pair | _shown(documents[second].name, shared, {}, match.spans))
    return {"threshold": values.threshold, "pairs": len(found), "near_duplicates": pairs}


def _shown(name: str, shared, cosine: dict[str, float], spans: list) -> dict[str, Any]:
    shares = {"containment": shared.containment, "jaccard": shared.jaccard}
    return {"document": name, **shares, "shared_shingles": shared.shared, **cosine, "spans": spans}


def _cosines(values, queries, documents):
    """`cosines_AB` of the vectors of queries and documents, of the run in --workdir if given."""
    if not values.workdir:
        return None
    from lmjax.api import load

    trained = load(values.workdir, values.step)
    sides = ([document.text for document in each] for each in (queries, documents))
    return trained.similarity(*sides)


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of a run whose vectors of texts are compared, too; may be left")
    for name, default, text in (
        ("corpus", "", "the documents: a file, folder or glob of .txt, .md or .jsonl (.gz)"),
        ("query", "", "the text, or several, that is looked for in the corpus; likewise"),
        ("unit", "words", "of shingles: words | characters"),
    ):
        flags.DEFINE_string(name, default, text, flag_values=values)
    for name, default, text in (
        ("size", 5, "units of a shingle"),
        ("most", 10, "documents to show of each query, or pairs"),
        ("spans", 3, "longest shared runs to show of each"),
        ("step", None, "step of the checkpoint to load; if not given, the one that was scored"),
    ):
        flags.DEFINE_integer(name, default, text, flag_values=values)
    flags.DEFINE_float(
        "threshold",
        None,
        "no query: pairs of documents of at least this Jaccard similarity, found by MinHash",
        flag_values=values,
    )
