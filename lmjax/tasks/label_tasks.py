"""The tasks whose answers are labels or ratings, with numbers that were published of them."""

from lmjax.tasks.contract import Published, Task

KIM = "Kim (2014), Convolutional Neural Networks for Sentence Classification, table 2"
ZHANG = "Zhang et al. (2015), Character-level Convolutional Networks for Text, table 4"
YAO = "Yao et al. (2019), Graph Convolutional Networks for Text Classification, table 2"
REIMERS = "Reimers and Gurevych (2019), Sentence-BERT, tables 1 and 2"
PHRASES = "trained on the phrases of the training sentences, too"

TASKS = (
    Task(
        "sst2",
        "classification",
        {"corpus": "sst2"},
        "does a sentence of a film review praise (1) or not (0)?",
        ("en",),
        (
            Published(0.827, "accuracy", "CNN on random vectors", KIM, PHRASES),
            Published(
                0.881, "accuracy", "CNN on word2vec's vectors, fixed and tuned", KIM, PHRASES
            ),
        ),
    ),
    Task(
        "sst2_glue",
        "classification",
        {"corpus": "sst2_glue"},
        "the same, trained on 67,349 phrases; 6 of them are sentences of test",
        ("en",),
        (
            Published(0.881, "accuracy", "CNN on word2vec's vectors, fixed and tuned", KIM),
            Published(
                0.935,
                "accuracy",
                "BERT-base",
                "Devlin et al. (2019), BERT, table 1",
                "on GLUE's own test set, whose labels are not public",
            ),
        ),
    ),
    Task(
        "trec",
        "classification",
        {"corpus": "trec"},
        "which of six kinds of answers does a question ask for?",
        ("en",),
        (
            Published(0.912, "accuracy", "CNN on random vectors", KIM),
            Published(0.936, "accuracy", "CNN on word2vec's vectors, tuned", KIM),
        ),
    ),
    Task(
        "trec_fine",
        "classification",
        {"corpus": "trec_fine"},
        "which of 50 kinds of answers does a question ask for?",
        ("en",),
        (
            Published(
                0.842,
                "accuracy",
                "hierarchical classifier of linear ones (SNoW)",
                "Li and Roth (2002), Learning Question Classifiers",
            ),
        ),
    ),
    Task(
        "ag_news",
        "classification",
        {"corpus": "ag_news"},
        "what are news about: World, Sports, Business or Sci/Tech? 10 training texts are in test",
        ("en",),
        (
            Published(
                0.924,
                "accuracy",
                "n-grams, TF-IDF",
                ZHANG,
                "120,000 training texts, with their titles",
            ),
        ),
    ),
    Task(
        "20news",
        "classification",
        {"corpus": "20news"},
        "in which of 20 newsgroups is a message? data.cleaning=('message_headers', "
        "'message_footers', 'message_quotes') leaves the words of its writer",
        ("en",),
        (
            Published(0.832, "accuracy", "TF-IDF and logistic regression", YAO, "with headers"),
            Published(0.863, "accuracy", "Text GCN", YAO, "with headers"),
        ),
    ),
    Task(
        "names",
        "classification",
        {"corpus": "names"},
        "of which of 18 languages is a surname?",
        ("ar", "zh", "cs", "nl", "en", "fr", "de", "el", "ga")
        + ("it", "ja", "ko", "pl", "pt", "ru", "gd", "es", "vi"),
    ),
    Task(
        "stsbenchmark",
        "similarity",
        {"corpus": "stsbenchmark"},
        "how alike are two sentences, from 0 to 5?",
        ("en",),
        (
            Published(0.580, "spearman", "cosine of averaged GloVe vectors", REIMERS),
            Published(0.843, "spearman", "BERT-base, both sentences in one row", REIMERS),
            Published(0.847, "spearman", "Sentence-BERT-base", REIMERS),
        ),
    ),
)
