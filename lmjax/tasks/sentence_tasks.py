"""The tasks whose answer is one of two sentences."""

from lmjax.tasks.contract import Published, Task

BLIMP_RESULTS = "raw_results/summary of github.com/alexwarstadt/blimp"
TASKS = (
    Task(
        "blimp",
        "acceptability",
        {"corpus": "blimp"},
        "which of two sentences is English, in 67 paradigms? for any model of texts, untrained",
        ("en",),
        (
            Published(0.612, "accuracy", "5-gram, trained on Gigaword", BLIMP_RESULTS),
            Published(0.698, "accuracy", "LSTM, trained on Wikipedia", BLIMP_RESULTS),
            Published(0.696, "accuracy", "Transformer-XL, trained on WikiText-103", BLIMP_RESULTS),
            Published(0.830, "accuracy", "GPT-2 large", BLIMP_RESULTS),
        ),
    ),
)
