"""The tasks of texts that are written: translation, summarisation, prose and poems."""

from lmjax.tasks.contract import Published, Task

NOTEBOOKS = "notebooks of bentrevett/pytorch-seq2seq"
GREEDY = "greedy; of words of spaCy that occur twice, in lower case, so some points tell nothing"

TASKS = (
    Task(
        "multi30k_de_en",
        "translation",
        {"corpus": "multi30k", "direction": "de-en"},
        "descriptions of pictures, from German",
        ("de", "en"),
        (
            Published(28.30, "bleu", "GRU with attention", NOTEBOOKS, GREEDY),
            Published(
                36.52, "bleu", "Transformer, 3 + 3 layers of 256", f"legacy {NOTEBOOKS}", GREEDY
            ),
        ),
    ),
    Task(
        "multi30k_en_de",
        "translation",
        {"corpus": "multi30k", "direction": "en-de"},
        "descriptions of pictures, from English",
        ("en", "de"),
    ),
    Task(
        "fra_eng",
        "translation",
        {"corpus": "fra_eng"},
        "short sentences, from English to French",
        ("en", "fr"),
    ),
    Task(
        "scitldr",
        "summarisation",
        {"corpus": "scitldr"},
        "what a paper says, in one sentence, from its abstract",
        ("en",),
        (
            Published(
                43.8,
                "rouge1",
                "CATTS: BART-large, with titles",
                "Cachola et al. (2020), abstract only",
            ),
        ),
    ),
    Task(
        "tiny_shakespeare",
        "generation",
        {"corpus": "tiny_shakespeare"},
        "more of Shakespeare's plays",
        ("en",),
        (
            Published(
                2.1203,
                "bits_per_byte",
                "nanoGPT, 10.65 M parameters: 1.4697 nats a character of validation",
                "Karpathy (2022), README of nanoGPT",
                "estimated on random windows",
            ),
        ),
    ),
    Task(
        "chinese_poetry_tang",
        "generation",
        {"corpus": "chinese_poetry_tang"},
        "poems as of the Tang dynasty",
        ("zh",),
    ),
    Task(
        "surnames",
        "generation",
        {"corpus": "surnames"},
        "surnames as of 18 languages",
        ("ar", "zh", "cs", "nl", "en", "fr", "de", "el", "ga")
        + ("it", "ja", "ko", "pl", "pt", "ru", "gd", "es", "vi"),
    ),
)
