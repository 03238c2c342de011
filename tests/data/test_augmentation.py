"""Sources that are shown changed in training, and labels that never are."""

import json
from collections import Counter

import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.data.augmentation import augmented
from lmjax.data.dataset import open_dataset
from lmjax.data.near_words import NEAREST, NearWords
from lmjax.data.paraphrases import paraphrases_of
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.data.training_batches import make_batching
from lmjax.data.word_changes import CHANGES, Changing, parse_changes
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.word_vectors import WordVectors, write_word_vectors
from lmjax.data.words import WordBorders
from lmjax.data.wrapped_tokenizers import PairTokenizer
from lmjax.errors import UserError

WORDS = [f"w{i}" for i in range(40)]
CHANGED = ("swap=0.2", "delete=0.2", "blank=0.2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pairs of which each has a target of its own, and vectors of some of their words."""
    folder, generator = tmp_path_factory.mktemp("augmentation"), np.random.default_rng(0)
    rows = [
        {"source": " ".join(generator.choice(WORDS, generator.integers(3, 12))), "target": f"t{i}"}
        for i in range(240)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    vectors_VD = generator.normal(size=(32, 6)).astype(np.float32)
    words = ("elsewhere", "</s>", *WORDS[:30])
    write_word_vectors(folder / "vectors.txt", WordVectors(words, vectors_VD))
    return folder


def data_of(folder, **fields):
    data = base_config("classifier").data
    data.update(corpus="parallel", files=str(folder / "pairs.jsonl"), source_tokenizer="word")
    data.update(tokenizer="word", source_length=16, batch_size=8)
    data.update(fields)
    return data


def batching_of(data, seed=0):
    return make_batching(open_dataset(data).splits["train"], data, seed)


def sources_by_target(batching, epoch):
    """The source of each target, in an epoch."""
    shown, steps = {}, batching.steps_per_epoch
    for step in range(epoch * steps, (epoch + 1) * steps):
        batch = batching.batch(step)
        for row in np.flatnonzero(batch.weights_BT[:, 0]):
            ids_S = batch.source_BS[row][batch.source_weights_BS[row] > 0]
            shown[int(batch.targets_BT[row, 0])] = tuple(ids_S.tolist())
    return shown


def test_an_example_is_changed_by_its_seed_and_epoch_whatever_it_is_batched_with(folder):
    fields = dict(augmentation=CHANGED, augmentation_share=0.5)
    batching = batching_of(data_of(folder, **fields))
    other = batching_of(data_of(folder, **fields, batch_size=5))
    first, second = sources_by_target(batching, 0), sources_by_target(batching, 1)
    assert first == sources_by_target(other, 0)
    assert second == sources_by_target(other, 1)
    plain = sources_by_target(batching_of(data_of(folder)), 0)
    assert first.keys() == second.keys() == plain.keys()
    shares = [np.mean([shown[t] != plain[t] for t in plain]) for shown in (first, second)]
    assert all(0.25 < share <= 0.5 for share in shares)  # a deletion may leave all words
    assert np.mean([first[target] != second[target] for target in plain]) > 0.3
    assert first != sources_by_target(batching_of(data_of(folder, **fields), seed=1), 0)


@pytest.mark.parametrize("tokenizer", ["word", "bpe", "byte"])
def test_nothing_but_the_source_is_changed(folder, tokenizer):
    fields = dict(source_tokenizer=tokenizer, source_length=64)
    plain = batching_of(data_of(folder, **fields))
    changes = dict(augmentation=("swap=0.3", "delete=0.3"), augmentation_share=1.0)
    batching = batching_of(data_of(folder, **changes, **fields))
    for step in range(2 * plain.steps_per_epoch):
        before, after = vars(plain.batch(step)), vars(batching.batch(step))
        for name in before.keys() - {"source_BS", "source_weights_BS"}:
            assert np.array_equal(before[name], after[name]), name
        assert (before["source_BS"].shape != after["source_BS"].shape) or (
            before["source_BS"] != after["source_BS"]
        ).any()
    assert plain.steps_per_epoch == batching.steps_per_epoch
    assert plain.tokens_per_step == batching.tokens_per_step


def changing(near=lambda word: ()):
    return Changing(np.random.default_rng(0), near, (99,))


WORDS_OF_TEN = [(i,) for i in range(10)]
NEAR = {(i,): [(10 * i,), (10 * i + 1,)] for i in range(1, 5)}


def test_what_each_change_does():
    by = changing(lambda word: NEAR.get(word, []))
    for _ in range(50):
        swapped = CHANGES["swap"](WORDS_OF_TEN, 0.2, by)
        moved = sum(a != b for a, b in zip(swapped, WORDS_OF_TEN, strict=True))
        assert sorted(swapped) == WORDS_OF_TEN and moved in (0, 3, 4)
        deleted = CHANGES["delete"](WORDS_OF_TEN, 0.5, by)
        assert deleted == sorted(set(deleted)) and len(deleted) >= 1
        replaced = CHANGES["replace"](WORDS_OF_TEN, 0.2, by)
        changed = [
            (old, new) for old, new in zip(WORDS_OF_TEN, replaced, strict=True) if old != new
        ]
        assert len(changed) == 2 and all(new in NEAR[old] for old, new in changed)
        inserted = CHANGES["insert"](WORDS_OF_TEN, 0.3, by)
        added = Counter(inserted) - Counter(WORDS_OF_TEN)
        assert [word for word in inserted if word not in added] == WORDS_OF_TEN
        assert added.total() == 3 and added.keys() <= {
            word for near in NEAR.values() for word in near
        }
        hidden = CHANGES["blank"](WORDS_OF_TEN, 0.2, by)
        assert all(new in (old, (99,)) for old, new in zip(WORDS_OF_TEN, hidden, strict=True))
    counts = [len(CHANGES["delete"](WORDS_OF_TEN, 0.2, by)) for _ in range(2000)]
    assert np.mean(counts) == pytest.approx(8, abs=0.15)


def test_a_sentence_of_one_word_and_words_without_near_ones_stay():
    one, by = [(7,)], changing()
    assert all(CHANGES[name](one, 1.0, by) == one for name in ("swap", "delete"))
    assert CHANGES["insert"](WORDS_OF_TEN, 0.5, by) == WORDS_OF_TEN
    assert CHANGES["replace"](WORDS_OF_TEN, 0.5, by) == WORDS_OF_TEN


@pytest.mark.parametrize("tokenizer", ["bpe", "byte", "character"])
def test_words_of_several_tokens_are_changed_as_a_whole(folder, tokenizer):
    fields = dict(source_tokenizer=tokenizer, source_length=64)
    data = data_of(folder, augmentation=("swap=0.5",), augmentation_share=1.0, **fields)
    dataset = open_dataset(data)
    plain = sources_by_target(batching_of(data_of(folder, **fields)), 0)
    shown = sources_by_target(batching_of(data), 0)
    decode = dataset.tokenizer.source.decode
    pairs = [(decode(plain[target]).split(), decode(shown[target]).split()) for target in plain]
    assert all(sorted(before) == sorted(after) for before, after in pairs)
    assert sum(before != after for before, after in pairs) > len(pairs) / 2


def test_special_tokens_and_ends_of_lines_stay_where_they_are():
    tokenizer = WordTokenizer(("a", "b", "c", "d"), has_unknown=True)
    borders = WordBorders(tokenizer)
    parts = list(borders.parts(tokenizer.encode("a b\nc <unk> d")))
    assert parts == [([(2,), (3,)], False), ([(0,)], True), ([(4,), (1,), (5,)], False)]


def test_near_words_are_those_of_the_largest_cosine(folder):
    tokenizer = WordTokenizer(tuple(WORDS), has_unknown=True)
    near = NearWords(str(folder / "vectors.txt"), tokenizer)
    rows = [line.split() for line in (folder / "vectors.txt").read_text().splitlines()[1:]]
    vectors = {row[0]: np.array(row[1:], float) for row in rows if row[0].startswith("w")}

    def cosine(one, other):
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    for word in WORDS[:30]:
        others = sorted(vectors, key=lambda other: -cosine(vectors[word], vectors[other]))
        expected = [o for o in others if o != word and cosine(vectors[word], vectors[o]) > 0]
        found = [tokenizer.decode(ids) for ids in near(tuple(tokenizer.encode(word).tolist()))]
        assert found == expected[:NEAREST]
    assert near((tokenizer.unknown_id,)) == [] and near(tuple(tokenizer.encode("w35"))) == []


def test_replaced_words_are_near_ones(folder):
    data = data_of(folder, augmentation=("replace=0.4",), augmentation_share=1.0)
    data.augmentation_vectors = str(folder / "vectors.txt")
    batching = batching_of(data)
    plain, shown = (
        sources_by_target(batching_of(data_of(folder)), 0),
        sources_by_target(batching, 0),
    )
    near = NearWords(data.augmentation_vectors, open_dataset(data).tokenizer.source)
    changed = 0
    for target, before in plain.items():
        for old, new in zip(before, shown[target], strict=True):
            assert new == old or (new,) in near((old,))
            changed += new != old
    assert changed > len(plain)
    assert batching.remarks()[-1] == "30 of their 40 different words have a vector"


@pytest.mark.parametrize("tokenizer", ["byte", "character", "bpe"])
def test_words_that_have_a_vector_are_counted_as_they_are_looked_up(folder, tokenizer):
    data = data_of(folder, augmentation=("replace=0.4",), source_tokenizer=tokenizer)
    data.update(augmentation_vectors=str(folder / "vectors.txt"), source_length=64)
    assert batching_of(data).remarks()[-1] == "30 of their 40 different words have a vector"


def test_vectors_may_lie_below_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    data = data_of(folder, augmentation=("replace=0.4",), augmentation_vectors="~/vectors.txt")
    assert batching_of(data).remarks()[-1].startswith("30 of their 40")


def write_paraphrases(folder, rows):
    path = folder / "paraphrases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_paraphrases_are_shown_in_the_place_of_their_source(folder, tmp_path):
    data = data_of(folder, augmentation_share=1.0)
    dataset = open_dataset(data)
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").open()]
    given = [
        {"source": rows[0]["source"], "paraphrases": ["w1 w2", " ".join(WORDS[:20])]},
        {"source": rows[1]["source"], "prediction": "w3 w4 w5"},
        {"source": "of no document", "paraphrases": ["w1"]},
    ]
    encode = dataset.tokenizer.encode
    label, other = (int(encode(row["target"])[0]) for row in rows[:2])
    plain = sources_by_target(batching_of(data), 0)
    assert {label, other} <= plain.keys(), "both of these are in the training split"
    data.paraphrases = write_paraphrases(tmp_path, given)
    batching = batching_of(data)
    shown = sources_by_target(batching, 0)
    source = dataset.tokenizer.source
    changed = {
        target: source.decode(shown[target]) for target in plain if plain[target] != shown[target]
    }
    assert changed == {label: "w1 w2", other: "w3 w4 w5"}
    said = batching.remarks()[-1]
    assert (
        f"2 of {len(plain)} training documents have 3 paraphrases, of which 1 are left out" in said
    )
    assert "1 sources of" in said


def test_blanks_around_a_source_and_that_of_its_paraphrases_say_nothing():
    found = {"a b": ["c"]}
    assert paraphrases_of(["x", " a b\n"], found, "file") == {1: ["c"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"source": "a"}, r"line 1 of .* has no paraphrase, or an empty one"),
        ({"source": "a", "paraphrases": ["b", " "]}, "line 1 of .* an empty one"),
        ({"source": "a", "paraphrases": "b"}, r'line 1 of .* must look like \{"source"'),
        ({"paraphrases": ["b"]}, "line 1 of .* must look like"),
        ({"source": "a", "paraphrases": ["b"]}, "none of the 1 sources in data.paraphrases"),
    ],
)
def test_paraphrases_that_cannot_be_used_are_refused(folder, tmp_path, row, message):
    data = data_of(folder, paraphrases=write_paraphrases(tmp_path, [row]))
    with pytest.raises(UserError, match=message):
        batching_of(data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"augmentation": ("swop=0.1",)}, "no change 'swop': did you mean 'swap'"),
        ({"augmentation": ("swap",)}, "give the share of the words.*swap=0.1"),
        ({"augmentation": ("swap=2",)}, "above 0 and at most 1"),
        ({"augmentation": ("swap=0.1", "swap=0.2")}, "has 'swap' twice"),
        ({"augmentation": ("insert=0.1",)}, "take near words from a file"),
        ({"augmentation": ("swap=0.1",), "augmentation_vectors": "x"}, "give both or neither"),
        ({"augmentation": ("swap=0.1",), "augmentation_share": 0.0}, "augmentation_share is 0.0"),
        ({"augmentation": ("blank=0.1",), "source_tokenizer": "byte"}, "special_tokens=.'mask'"),
        ({"augmentation": ("swap=0.1",), "batching": "windows"}, "set it to 'documents'"),
        (
            {"augmentation": ("replace=0.1",), "augmentation_vectors": "."},
            "lmjax vectors export --workdir=. --output",
        ),
    ],
)
def test_what_cannot_be_is_refused(folder, fields, message):
    with pytest.raises(UserError, match=message):
        batching_of(data_of(folder, **fields))


def test_documents_without_a_source_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("some words\n" * 400)
    data = base_config("rnn").data
    data.update(corpus="text", files=str(tmp_path / "notes.txt"), augmentation=("swap=0.1",))
    with pytest.raises(UserError, match="the corpus 'text' have none; leave them out"):
        open_dataset(data)


def test_answers_at_places_of_their_source_are_refused(folder):
    data = data_of(folder, augmentation=("swap=0.1",))
    dataset = open_dataset(data_of(folder))
    spans = PairTokenizer(SpanTokenizer.of_rows(16), dataset.tokenizer.source)
    with pytest.raises(UserError, match="would move the places at which answers stand"):
        augmented(dataset.splits["train"], data, spans, list)


def test_a_text_in_place_of_a_tuple_is_refused():
    with pytest.raises(UserError, match="end one of a single entry by a comma"):
        parse_changes("swap=0.1")


def test_a_source_is_never_longer_than_the_most_that_is_read(folder):
    data = data_of(folder, augmentation=("insert=1",), augmentation_share=1.0)
    data.augmentation_vectors = str(folder / "vectors.txt")
    plain, shown = (
        sources_by_target(batching_of(data_of(folder)), 0),
        sources_by_target(batching_of(data), 0),
    )
    lengths = [(len(plain[target]), len(shown[target])) for target in plain]
    assert all(before <= after <= 16 for before, after in lengths)
    assert {before == after for before, after in lengths} == {True, False}
