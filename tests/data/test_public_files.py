"""Public files: the user's folder, then the cache, then the network; always verified."""

import gzip
import hashlib
import urllib.error

import pytest

from lmjax.data import public_files
from lmjax.data.public_files import PublicFile
from lmjax.errors import UserError

CONTENT = b"some text\n"
FILE = PublicFile(
    "set/some.txt", "https://example.org/some.txt", hashlib.sha256(CONTENT).hexdigest()
)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data" / "set").mkdir(parents=True)
    served = []

    def urlopen(url, timeout):
        if not served:
            raise urllib.error.URLError("offline")
        return served.pop()

    monkeypatch.setattr(public_files.urllib.request, "urlopen", urlopen)
    return tmp_path, served


class Response:
    def __init__(self, content):
        self.content = content

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def read(self, limit):
        return self.content[:limit]


def test_the_users_folder_comes_first_also_compressed(folders):
    folder, _ = folders
    (folder / "data/set/some.txt.gz").write_bytes(gzip.compress(CONTENT))
    assert FILE.read() == CONTENT
    assert FILE.local() == folder / "data/set/some.txt.gz"


def test_a_download_is_kept(folders):
    folder, served = folders
    assert FILE.local() is None
    served.append(Response(CONTENT))
    assert FILE.read() == CONTENT
    assert FILE.read() == CONTENT
    assert FILE.local() == folder / "cache/downloads/set/some.txt"


def test_a_corrupted_file_is_named_with_both_digests(folders):
    folder, _ = folders
    (folder / "data/set/some.txt").write_bytes(b"some test\n")
    found = hashlib.sha256(b"some test\n").hexdigest()
    with pytest.raises(UserError, match=f"data/set/some.txt.*{found}.*{FILE.sha256}"):
        FILE.read()


def test_a_corrupted_download_is_not_kept(folders):
    folder, served = folders
    served.append(Response(b"login page"))
    with pytest.raises(UserError, match="https://example.org/some.txt is corrupted"):
        FILE.read()
    assert FILE.local() is None and not list(folder.glob("cache/**/*.txt"))


def test_without_network_the_message_says_what_to_put_where(folders):
    folder, _ = folders
    with pytest.raises(UserError) as error:
        FILE.read()
    for part in ("set/some.txt", "https://example.org/some.txt", "offline", f"{folder}/data/set"):
        assert part in str(error.value)


def test_offline_nothing_is_fetched_and_the_message_says_why(folders, monkeypatch):
    folder, served = folders
    served.append(Response(CONTENT))
    monkeypatch.setenv("LMJAX_OFFLINE", "1")
    with pytest.raises(UserError, match=f"LMJAX_OFFLINE is set.*put the file into {folder}/data"):
        FILE.read()
    assert served, "the network was asked"
    monkeypatch.setenv("LMJAX_OFFLINE", "0")
    assert FILE.read() == CONTENT
