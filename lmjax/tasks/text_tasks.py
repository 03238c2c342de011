"""The tasks of texts that are written: translation, summarisation, prose and poems."""

from lmjax.tasks.contract import Published, Task

ROUGE = ("rouge1", "rouge2", "rougel")
SCITLDR = {  # models and their metrics
    "BART-large, trained further": (43.3, 20.8, 35.0),
    "CATTS: BART-large, with titles": (43.8, 20.9, 35.5),
}

TASKS = (
    Task(
        "multi30k_de_en",
        "translation",
        {"corpus": "multi30k", "direction": "de-en"},
        "descriptions of pictures, from German",
        ("de", "en"),
    ),
    Task(
        "multi30k_en_de",
        "translation",
        {"corpus": "multi30k", "direction": "en-de"},
        "descriptions of pictures, from English",
        ("en", "de"),
        (
            Published(
                41.02,
                "bleu",
                "Transformer-Tiny, of texts alone",
                "Wu et al. (2021), table 2",
                "BLEU of text in tokens, not sacrebleu's of the text as it is",
            ),
        ),
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
        tuple(
            Published(value, metric, who, "Cachola et al. (2020), table 3, abstract only")
            for who, values in SCITLDR.items()
            for metric, value in zip(ROUGE, values, strict=True)
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
