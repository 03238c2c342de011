"""The tasks that a text is written for: translation and summarisation."""

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
)
