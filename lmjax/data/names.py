"""Surnames and the languages that they are of."""

from collections import Counter

from lmjax.data.documents import SPLITS, Document, Splits, percentile
from lmjax.data.labels import check_rows
from lmjax.data.public_files import PublicFile

URL = (
    "https://raw.githubusercontent.com/spro/practical-pytorch/"
    "c520c52e68e945d88fff563dba1c028b6ec0197b/data/names/"
)
DIGESTS = {
    "Arabic": "6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc",
    "Chinese": "09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465",
    "Czech": "e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7",
    "Dutch": "924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3",
    "English": "9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2",
    "French": "81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95",
    "German": "7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db",
    "Greek": "3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6",
    "Irish": "cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058",
    "Italian": "f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4",
    "Japanese": "e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f",
    "Korean": "cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136",
    "Polish": "45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826",
    "Portuguese": "50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53",
    "Russian": "0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c",
    "Scottish": "78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd",
    "Spanish": "1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7",
    "Vietnamese": "f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d",
}
NAMES = {
    language: PublicFile(f"names/{language}.txt", f"{URL}{language}.txt", sha256)
    for language, sha256 in DIGESTS.items()
}
COUNT = 20_050


def read_names() -> tuple[Splits, Counter]:
    """Surnames as the texts, their languages as the labels (Robertson's tutorial of PyTorch).

    Of all names about 80, 10 and 10 % are train, validation and test, by a hash of the name, so
    that one which is there several times, or of several languages, is in one split.
    """
    splits: Splits = {split: [] for split in SPLITS}
    for language, file in NAMES.items():
        for number, line in enumerate(file.read().decode().split("\n"), start=1):
            if name := line.strip():
                place = percentile(name)
                split = SPLITS[(place >= 80) + (place >= 90)]
                splits[split].append(Document(f"{language}:{number}", language, name))
    documents = sum(splits.values(), [])
    check_rows("names", "all files", len(documents), COUNT)
    distinct = len({document.source for document in documents})
    return splits, Counter(names=COUNT, distinct_names=distinct)


def read_surnames() -> tuple[Splits, Counter]:
    """The same names as texts to be written, in the same splits, each different one once."""
    splits, report = read_names()
    firsts: Splits = {}
    for split, part in splits.items():
        names: dict[str, Document] = {}
        for document in part:
            names.setdefault(document.source, Document(document.name, document.source))
        firsts[split] = list(names.values())
    return firsts, report
