"""Files that somebody made to do harm: each with how it is made and what is to read it."""

import gzip
import json
import os
import pickle
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmjax.config import base_config
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.dataset import read_dataset
from lmjax.data.streams import write_stream
from lmjax.data.text_files import files_digest, matching_files, read_text_files
from lmjax.interop.safetensors import read_safetensors
from lmjax.runs.files import read_json, to_json
from lmjax.studies.report import write_report
from tests.torture import hostile_tokenizers, hostile_weights

MIB = 1 << 20
DEEP = 100_000
LINE = b"a line of text\n"
TRAVERSALS = {
    "parent": "../../../outside",
    "absolute": "/etc",
    "percent-encoded": "..%2f..%2foutside",
    "NUL": "arm\0/../../outside",
    "backslashes": "..\\..\\outside",
    "UNC": "\\\\server\\share",
    "link out of the root": "link",
    "10,000 letters": "a" * 10_000,
}


@dataclass(frozen=True)
class Case:
    """`make(folder)` writes below the folder and returns what `read` is given."""

    reader: str
    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    accepted: bool = False  # harmless by what it says: read, and nothing comes of it


class Payload:
    """What unpickling would execute."""

    def __reduce__(self):
        return os.system, ("touch $LMJAX_CANARY",)


def read_corpus(path: Path) -> None:
    files = matching_files(str(path))
    files_digest(files)
    read_text_files(files, "strict")


def content(name: str, make: Callable[[], bytes]) -> Callable[[Path], Path]:
    """Makes one file of the bytes that `make` gives."""

    def write(folder: Path) -> Path:
        (folder / name).write_bytes(make())
        return folder / name

    return write


def sparse(name: str, size: int) -> Callable[[Path], Path]:
    """Makes a file of `size` NUL bytes that takes no room."""

    def write(folder: Path) -> Path:
        with open(folder / name, "wb") as file:
            file.truncate(size)
        return folder / name

    return write


def link(name: str, target: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).symlink_to(target)
        return folder / name

    return write


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "a.txt")
    return folder / "a.txt"


def directory(folder: Path) -> Path:
    (folder / "a.txt").mkdir()
    return folder / "a.txt"


def zeros(members: int) -> bytes:
    return gzip.compress(bytes(16 * MIB), 9) * members


def lying_size() -> bytes:
    return gzip.compress(LINE * 100)[:-4] + struct.pack("<I", 1 << 31)


def traversing_name() -> bytes:
    """A gzip whose header says that it is to be unpacked over another file."""
    body = gzip.compress(LINE * 100)
    return body[:3] + b"\x08" + body[4:10] + b"../../../canary\0" + body[10:]


CORPORA = {
    "gzip bomb, 1 member, 64 MiB": content("a.txt.gz", lambda: gzip.compress(bytes(64 * MIB), 9)),
    "gzip bomb, 640 members, 10 GiB": content("a.txt.gz", lambda: zeros(640)),
    "gzip bomb behind 1 MiB of noise": content(
        "a.txt.gz", lambda: gzip.compress(random.Random(0).randbytes(MIB)) + zeros(640)
    ),
    "gzip bomb as JSON lines": content("a.jsonl.gz", lambda: zeros(64)),
    "gzip bomb, truncated": content("a.txt.gz", lambda: zeros(2)[:-20_000]),
    "gzip in gzip": content("a.txt.gz", lambda: gzip.compress(zeros(64))),
    "gzip that lies about its size": content("a.txt.gz", lying_size),
    "gzip of noise": content("a.txt.gz", lambda: b"\x1f\x8b\x08" + random.Random(0).randbytes(MIB)),
    "a line of 2 GiB": sparse("a.txt", 2 << 30),
    "a JSON line of 2 GiB": sparse("a.jsonl", 2 << 30),
    "a JSON line of 17 MiB": content("a.jsonl", lambda: b'{"text": "%s"}' % (b"a" * (17 * MIB))),
    "JSON line, 100,000 lists deep": content("a.jsonl", lambda: b"[" * DEEP + b"]" * DEEP),
    "JSON line, 100,000 objects deep": content(
        "a.jsonl", lambda: b'{"text":' * DEEP + b"1" + b"}" * DEEP
    ),
    "JSON line with a key twice": content("a.jsonl", lambda: b'{"text": "a", "text": "b"}'),
    "JSON line whose text is a number": content("a.jsonl", lambda: b'{"text": 1e999}'),
    "JSON line with half a surrogate pair": content(
        "a.jsonl", lambda: rb'{"text": "half \ud83d of a pair"}'
    ),
    "UTF-16": content("a.txt", lambda: ("text\n" * 100).encode("utf-16")),
    "Latin-1": content("a.txt", lambda: "Müller\n".encode("latin-1") * 100),
    "overlong UTF-8": content("a.txt", lambda: LINE + b"\xc0\xaf\xe0\x80\xaf"),
    "encoded surrogate": content("a.txt", lambda: LINE + b"\xed\xa0\x80"),
    "empty file": content("a.txt", bytes),
    "a folder named a.txt": directory,
    "named pipe": fifo,
    "link to /dev/zero": link("a.txt", "/dev/zero"),
    "link to itself": link("a.txt", "a.txt"),
    "link to nothing": link("a.txt", "nowhere.txt"),
    "not a text's name": content("a.pkl", lambda: pickle.dumps(Payload())),
    "a pickle named .txt": content("a.txt", lambda: pickle.dumps(Payload())),
}
HARMLESS_CORPORA = {
    "NUL, CR LF and a byte order mark": content(
        "a.txt", lambda: b"\xef\xbb\xbf" + b"nul \0 and\r\n" * 100
    ),
    "gzip whose header names another file": content("a.txt.gz", traversing_name),
    "20 MiB of control characters": content("a.txt", lambda: b"\x1b[2J\x07\0\n" * (20 * MIB // 7)),
}
JSON = {
    "100,000 lists deep": lambda: b"[" * DEEP + b"]" * DEEP,
    "100,000 objects deep": lambda: b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "lists that never close, 15 MiB": lambda: b"[" * (15 * MIB),
    "65 MiB": lambda: b'"' + b"a" * (65 * MIB) + b'"',
    "5 million empty lists": lambda: b"[" + b"[]," * 5_000_000 + b"[]]",
    "a string of escaped quotes, unclosed": lambda: rb"\"".join([b'["'] + [b"a"] * 5_000_000),
    "a key twice": lambda: b'{"a": 1, "a": 2}',
    "100,000 keys, the last of them twice": lambda: (
        b"{%s}" % b",".join(b'"%d":1' % (i % 99_999) for i in range(100_000))
    ),
    "a number of 100,000 digits": lambda: b"9" * 100_000,
    "1e400": lambda: b"[1e400]",
    "NaN": lambda: b'{"a": NaN}',
    "-Infinity": lambda: b"-Infinity",
    "half a surrogate pair": lambda: rb'["\ud800"]',
    "UTF-16": lambda: '{"a": 1}'.encode("utf-16"),
    "Latin-1": lambda: '{"a": "ü"}'.encode("latin-1"),
    "overlong UTF-8": lambda: b'["\xc0\xaf"]',
    "NUL bytes": lambda: b'{"a": 1}\0\0',
    "empty": bytes,
    "Python": lambda: b"__import__('os').system('touch $LMJAX_CANARY')",
}


def dataset(change: Callable[[Path, dict], None]) -> Callable[[Path], Path]:
    """A prepared dataset after a change of its folder or of what dataset.json says."""

    def write(folder: Path) -> Path:
        tokenizer = ByteTokenizer(False)
        tokenizer.save(folder / "tokenizer.json")
        stream = write_stream(folder, "train", ["text"] * 100, tokenizer, False)
        described = {"reading": {}, "cleaning_reports": [], "splits": {"train": stream}}
        change(folder, described)
        (folder / "dataset.json").write_text(json.dumps(described))
        return folder

    return write


def tokens(make: Callable[[], bytes]) -> Callable[[Path], Path]:
    """A dataset whose tokens are other bytes."""
    return dataset(lambda folder, _: (folder / "train.tokens").write_bytes(make()))


def npy(header: bytes, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + body


def renamed(split: str) -> Callable[[Path], Path]:
    def change(folder: Path, described: dict) -> None:
        (folder / "link.tokens").symlink_to(folder.parent.parent / "outside" / "secret.tokens")
        described["splits"][split] = described["splits"]["train"]

    return dataset(change)


def counted(**counts) -> Callable[[Path], Path]:
    return dataset(lambda _, described: described["splits"]["train"]["counts"].update(counts))


DATASETS = {
    "tokens: .npy of a pickled object": tokens(
        lambda: npy(b"{'descr':'|O','fortran_order':False,'shape':(1,)}", pickle.dumps(Payload()))
    ),
    "tokens: .npy of shape 10^15": tokens(
        lambda: npy(b"{'descr':'<i4','fortran_order':False,'shape':(%d,)}" % 10**15)
    ),
    "tokens: .npy with a header of 10 MiB": tokens(lambda: npy(b" " * (10 * MIB))),
    "tokens: .npy, truncated": tokens(lambda: npy(b"{'descr':'<i4','fort")[:15]),
    "tokens: of 64 bits": tokens(lambda: np.zeros(400, np.int64).tobytes()),
    "tokens: none": tokens(bytes),
    "tokens: 2 GiB": dataset(lambda folder, _: sparse("train.tokens", 2 << 30)(folder) and None),
    "starts that go backwards": dataset(
        lambda folder, _: np.arange(100, 0, -1, np.int64).tofile(folder / "train.starts")
    ),
    "starts beyond the end": dataset(
        lambda folder, _: (np.arange(100) * 10**15).tofile(folder / "train.starts")
    ),
    "a count of 10^15 tokens": counted(tokens=10**15),
    "a count of -1": counted(documents=-1),
    "a count of the wrong type": counted(tokens="400"),
    "reports of the wrong type": dataset(
        lambda _, described: described.update(cleaning_reports=["touch"])
    ),
    "no splits": dataset(lambda _, described: described.update(splits=[])),
    **{f"split's name: {name}": renamed(split) for name, split in TRAVERSALS.items()},
}


def study(**changes) -> Callable[[Path], Path]:
    """A study without runs, after a change of its study.json."""

    def write(folder: Path) -> Path:
        described = {"name": "s", "question": "?", "baseline": "A", "matched": [], "prompt": "The"}
        (folder / "arms").mkdir()
        (folder / "arms" / "link").symlink_to(folder.parent.parent / "outside")
        (folder / "study.json").write_text(json.dumps(described | {"arms": []} | changes))
        return folder

    return write


def run(change: Callable[[dict, Path], None]) -> Callable[[Path], Path]:
    """A finished run after a change of its files, JSON by name, or of its folder."""

    def write(folder: Path) -> Path:
        score = {"bits_per_byte": 2.0, "context": "carried", "text_fingerprint": "text"}
        files = {
            "config.json": json.loads(to_json(base_config("rnn").to_dict())),
            "environment.json": {
                "versions": {"lmjax": "0"},
                "devices": ["cpu: cpu"],
                "machine": {},
                "source": None,
                "resumed_in": [],
            },
            "results.json": {
                "splits": {"validation": score, "test": score},
                "parameters": {"total": 10, "non_embedding": 5, "active": 10},
                "state_bytes": 8,
                "training": {"steps": 1, "tokens": 8, "seconds": 1.0, "scored_step": 1},
            },
        }
        change(files, folder)
        for name, value in files.items():
            (folder / name).write_text(json.dumps(value))
        return folder

    return write


def changed(file: str, section: str = "", **values) -> Callable[[Path], Path]:
    """A run with other values in a section of one of its JSON files."""
    return run(lambda files, _: (files[file][section] if section else files[file]).update(values))


def beside(name: str, make: Callable[[], bytes]) -> Callable[[Path], Path]:
    """A run with a further file."""
    return run(lambda _, folder: (folder / name).write_bytes(make()) and None)


RUNS = {
    **{f"study.json, arm: {n}": study(arms=[["A", a]]) for n, a in TRAVERSALS.items()},
    "study.json: an arm of one part": study(arms=[["A"]]),
    "study.json: arms of the wrong type": study(arms={"A": "a"}),
    "study.json: an unknown quantity": study(matched=["__class__"]),
    "config.json: a list": run(lambda files, _: files.update({"config.json": []})),
    "config.json: a text for a width": changed("config.json", "model", width="64"),
    "config.json: a list for a model": changed("config.json", model=["rnn"]),
    "config.json: a path for a model": changed("config.json", "model", name="../../outside"),
    "config.json: a batch below zero": changed("config.json", "data", batch_size=-1),
    "config.json: a key with dots": changed("config.json", "training", **{"a.b": 1}),
    "config.json: a key of the class": changed("config.json", "training", __class__=1, lock=2),
    "config.json: nothing in it": run(lambda files, _: files.update({"config.json": {}})),
    "results.json: a list": run(lambda files, _: files.update({"results.json": []})),
    "results.json: a text for a score": changed("results.json", splits={"test": "2.0"}),
    "results.json: seconds of 0": changed("results.json", "training", seconds=0),
    "results.json: parameters of null": changed("results.json", parameters=None),
    "environment.json: numbers for devices": changed("environment.json", devices=[1]),
    "environment.json: a source of the wrong type": changed("environment.json", source="main"),
    "metrics.jsonl: noise": beside(
        "metrics.jsonl", lambda: random.Random(0).randbytes(MIB) + b"\n"
    ),
    "metrics.jsonl: 100,000 deep": beside("metrics.jsonl", lambda: b"[" * DEEP + b"\n"),
    "metrics.jsonl: a list for a kind": beside("metrics.jsonl", lambda: b'{"kind":[],"step":1}\n'),
    "metrics.jsonl: a step of 10^400": beside(
        "metrics.jsonl", lambda: b'{"kind":"train","step":1%s}\n' % (b"0" * 400)
    ),
    "metrics.jsonl: a row without its loss": beside(
        "metrics.jsonl", lambda: b'{"kind":"evaluation","step":1,"split":"validation"}\n'
    ),
    "samples.txt: 2 GiB": run(lambda _, folder: sparse("samples.txt", 2 << 30)(folder) and None),
    "samples.txt: a folder": run(lambda _, folder: (folder / "samples.txt").mkdir()),
}
HARMLESS_RUNS = {
    "error.txt: empty": beside("error.txt", bytes),
    "error.txt: noise": beside("error.txt", lambda: random.Random(0).randbytes(1000)),
    "samples.txt: HTML and control characters": beside(
        "samples.txt", lambda: b"<script>alert(1)</script>\x1b]0;title\x07\xff"
    ),
}

CASES = [
    *(Case("corpus", name, make, read_corpus) for name, make in CORPORA.items()),
    *(Case("corpus", name, make, read_corpus, True) for name, make in HARMLESS_CORPORA.items()),
    *(Case("JSON", n, content("a.json", make), read_json) for n, make in JSON.items()),
    *(
        Case("tokenizer", name, content("tokenizer.json", make), hostile_tokenizers.read)
        for name, make in hostile_tokenizers.FILES.items()
    ),
    *(
        Case("tokenizer of others", name, make, hostile_tokenizers.read_given)
        for name, make in hostile_tokenizers.GIVEN.items()
    ),
    *(
        Case("tokenizer of others", name, make, hostile_tokenizers.read_given, True)
        for name, make in hostile_tokenizers.HARMLESS.items()
    ),
    *(
        Case("weights", name, content("model.safetensors", make), read_safetensors)
        for name, make in hostile_weights.FILES.items()
    ),
    *(
        Case("model", n, m, hostile_weights.read_model)
        for n, m in hostile_weights.folders(Payload()).items()
    ),
    *(Case("dataset", name, make, read_dataset) for name, make in DATASETS.items()),
    *(Case("run", name, make, write_report) for name, make in RUNS.items()),
    *(Case("run", name, make, write_report, True) for name, make in HARMLESS_RUNS.items()),
]
