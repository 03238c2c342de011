"""Folds of a corpus for cross-validation: every document is held out once, and never trained on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.config import base_config
from lmjax.data.dataset import open_dataset, read_documents
from lmjax.data.documents import Document, with_fold
from lmjax.errors import UserError

NAMES = st.lists(st.sampled_from([f"{letter}/{i}" for letter in "abc" for i in range(9)]))


@given(train=NAMES, validation=NAMES, test=NAMES, folds=st.integers(2, 7), data=st.data())
def test_folds_are_disjoint_cover_all_and_never_part_a_name(train, validation, test, folds, data):
    splits = {
        split: [Document(name, f"{split} {i}") for i, name in enumerate(names)]
        for split, names in (("train", train), ("validation", validation), ("test", test))
    }
    pool = splits["train"] + splits["validation"]
    names = {document.name for document in pool}
    if len(names) < folds:
        with pytest.raises(UserError, match=f"of the {len(names)} different documents"):
            with_fold(splits, folds, 0)
        return
    parts = [with_fold(splits, folds, fold) for fold in range(folds)]
    held_out = [document for part in parts for document in part["validation"]]
    assert sorted(held_out, key=id) == sorted(pool, key=id), "each once"
    sizes = [len({document.name for document in part["validation"]}) for part in parts]
    assert max(sizes) - min(sizes) <= 1 <= min(sizes)
    for part in parts:
        assert part["test"] == splits["test"]
        assert sorted(part["train"] + part["validation"], key=id) == sorted(pool, key=id)
        assert not {d.name for d in part["train"]} & {d.name for d in part["validation"]}
    other = {**splits, "train": data.draw(st.permutations(splits["train"]))}
    again = with_fold(other, folds, 1)["validation"]
    assert {d.name for d in again} == {d.name for d in parts[1]["validation"]}, "whatever the order"


@pytest.mark.parametrize(
    ("documents", "key"),
    [
        # questions of one paragraph; a surname of two languages; one pair of texts twice
        (
            [Document(f"q{i}", "a", f"why {i}?", f"a text {i // 3}", begin=0) for i in range(30)],
            lambda document: document.second,
        ),
        (
            [Document(f"{i}", f"label {i}", f"name {i // 2}") for i in range(30)],
            lambda document: document.source,
        ),
        (
            [Document(f"{i}", f"{i}", f"one {i % 5}", f"other {i % 10}") for i in range(30)],
            lambda document: document.source_parts,
        ),
    ],
)
def test_what_is_predicted_from_one_text_is_in_one_fold(documents, key):
    splits = {"train": documents[::2], "validation": documents[1::2], "test": []}
    held_out = [with_fold(splits, 4, fold)["validation"] for fold in range(4)]
    keys = [{key(document) for document in part} for part in held_out]
    assert sum(map(len, keys)) == len(set.union(*keys)) == len({key(d) for d in documents})
    assert sum(map(len, held_out)) == len(documents)


@pytest.fixture
def data(tmp_path):
    lines = [f'{{"text": "document {i} says {i * i} things"}}\n' for i in range(300)]
    (tmp_path / "text.jsonl").write_text("".join(lines))
    data = base_config("rnn").data
    data.update(corpus="text", files=str(tmp_path / "text.jsonl"), folds=3)
    return data


def test_no_two_folds_have_one_fingerprint_but_all_have_one_test_split(data):
    whole, test = [], []
    prints = {"train": set(), "validation": set()}
    for fold in range(3):
        data.fold = fold
        splits = open_dataset(data).splits
        for split, seen in prints.items():
            seen.add(splits[split].fingerprint)
        whole.append(splits["train"].counts.documents + splits["validation"].counts.documents)
        test.append(splits["test"].fingerprint)
        texts = {
            split: {document.text for document in documents}
            for split, documents in read_documents(data)[0].items()
        }
        assert not texts["train"] & texts["validation"] and not texts["test"] & texts["validation"]
    assert len(prints["train"] | prints["validation"]) == 6
    assert len(set(whole)) == 1 and len(set(test)) == 1
    data.folds, data.fold = 0, 0
    assert open_dataset(data).splits["train"].fingerprint not in prints["train"]


@pytest.mark.parametrize(("folds", "fold"), [(1, 0), (3, 3), (0, 1)])
def test_a_fold_that_is_not_there_is_refused(folds, fold, data):
    data.folds, data.fold = folds, fold
    with pytest.raises(UserError, match="counted from 0"):
        open_dataset(data)
