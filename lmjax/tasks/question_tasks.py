"""The task of questions whose answers stand in a text, with numbers that were published of it."""

from lmjax.tasks.contract import Published, Task

RAJPURKAR = "Rajpurkar et al. (2016), SQuAD, table 5"
DEVLIN = "Devlin et al. (2019), BERT, table 2"
OFFICIAL = "trained on 87,599 questions, and measured on all of the development set"
SCORES = (  # exact match, F1
    ("logistic regression", RAJPURKAR, 40.0, 51.0),
    ("BERT-base", DEVLIN, 80.8, 88.5),
)

TASKS = (
    Task(
        "squad",
        "question_answering",
        {"corpus": "squad"},
        "which words of a text answer a question? of SQuAD 1.1's development set, by article",
        ("en",),
        tuple(
            Published(value, metric, who, source, OFFICIAL)
            for who, source, *values in SCORES
            for metric, value in zip(("exact_match", "f1"), values, strict=True)
        ),
    ),
)
