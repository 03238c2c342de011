"""Public data sets: from the user's folder, the cache or the network, and never unverified."""

import gzip
import http.client
import io
import os
import urllib.request
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lmjax.data.cache import cache_directory
from lmjax.data.reading import read_bytes
from lmjax.errors import UserError
from lmjax.runs.files import MOST_BYTES, write_atomically

TIMEOUT_SECONDS = 4


def is_offline() -> bool:
    """Whether `LMJAX_OFFLINE` forbids to open a network socket."""
    return os.environ.get("LMJAX_OFFLINE", "0") not in ("", "0")


@dataclass(frozen=True)
class PublicFile:
    """A file's place below the data folder, where it is published, and its SHA-256."""

    path: str
    url: str
    sha256: str
    is_folder: bool = False  # published so, of which the file is a tar
    header: bytes = b""  # that is published without, and stands before what is fetched

    def local(self) -> Path | None:
        """Where the file lies on this machine, perhaps compressed; None if it has to be fetched."""
        found = (place for place in self._places() if place.is_file())
        return next(found, None)

    def read(self) -> bytes:
        """The decompressed content, downloaded into the cache if need be.

        Raises UserError if it is nowhere to be had or is not the published content.
        """
        place = self.local()
        if place is not None:
            return self._verified(read_bytes(place), str(place))
        content = self._verified(self.header + self._download(), self.url)
        self._download_path().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._download_path(), content)
        return content

    def _download_path(self) -> Path:
        return cache_directory() / "downloads" / self.path

    def _places(self) -> list[Path]:
        data_folder = os.environ.get("LMJAX_DATA_DIR")
        given = [Path(data_folder, self.path)] if data_folder else []
        return [
            place.with_name(place.name + suffix)
            for place in [*given, self._download_path()]
            for suffix in ("", ".gz")
        ]

    def _verified(self, content: bytes, source: str) -> bytes:
        found = sha256(content).hexdigest()
        if found != self.sha256:
            raise UserError(
                f"{source} is corrupted: its SHA-256 is {found}, "
                f"it should be {self.sha256}; delete it and fetch it again"
            )
        return content

    def _unpacked(self, content: bytes) -> bytes:
        """The file itself, where it is published in a .gz or a .zip."""
        if self.url.endswith(".gz"):
            return gzip.GzipFile(fileobj=io.BytesIO(content)).read(MOST_BYTES)
        if self.url.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)).open(Path(self.path).name) as member:
                return member.read(MOST_BYTES)
        return content

    def _download(self) -> bytes:
        folder = os.environ.get("LMJAX_DATA_DIR") or cache_directory() / "downloads"
        try:
            if is_offline():
                raise OSError("LMJAX_OFFLINE is set")
            if self.is_folder:
                raise OSError("it is published as a folder; pack that with tar")
            with urllib.request.urlopen(self.url, timeout=TIMEOUT_SECONDS) as response:
                return self._unpacked(response.read(MOST_BYTES))
        except (OSError, http.client.HTTPException, zipfile.BadZipFile, KeyError) as error:
            raise UserError(
                f"{self.path} is not in {folder} and {self.url} cannot be fetched ({error}); "
                f"put the file into {Path(folder, self.path).parent}"
            ) from error
