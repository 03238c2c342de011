"""Fine-tunes MiniLM by transformers with the settings of an experiment, on the same documents.

python -m tests.parity.minilm_by_transformers FOLDER EXPERIMENT.py:minilm [learning_rate [seeds]]

FOLDER has the published files. Mean pooling, dropout and a linear head, as the experiment's; the
weights of the head, the order of the texts and the masks of dropout are torch's own. Prints the
accuracy on validation and test of seeds 0, 1 and 2, or so many as are asked for.
"""

import sys
import time

import numpy as np
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

from lmjax.api import load_experiment
from lmjax.data.cleaning import clean_text
from lmjax.data.corpora import open_corpus

ROWS = 64  # at a time, where nothing is trained


class Classifier(torch.nn.Module):
    """MiniLM, the mean over its tokens and a linear layer."""

    def __init__(self, folder: str, labels: int, dropout: float):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(self.encoder.config.hidden_size, labels)
        torch.nn.init.normal_(self.head.weight, std=0.02)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, read) -> torch.Tensor:
        """Logits of the labels, B x C."""
        hidden_BTD = self.encoder(**read).last_hidden_state
        weights_BT1 = read["attention_mask"][..., None].float()
        mean_BD = (hidden_BTD * weights_BT1).sum(1) / weights_BT1.sum(1)
        return self.head(self.dropout(mean_BD))


def fine_tune(folder: str, config, splits, seed: int) -> dict[str, float]:
    """The accuracy on each split that is not trained on."""
    torch.manual_seed(seed)
    training, tokenizer = config.training, AutoTokenizer.from_pretrained(folder)
    labels = sorted({document.text for document in splits["train"]})
    model = Classifier(folder, len(labels), config.model.dropout)
    decayed = [value for value in model.parameters() if value.ndim > 1]
    others = [value for value in model.parameters() if value.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed}, {"params": others, "weight_decay": 0.0}],
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
    )
    epochs = int(training.duration.removesuffix(" epochs"))
    rows, train = config.data.batch_size, splits["train"]
    steps = epochs * len(train) // rows
    warmup = round(steps * int(training.warmup.removesuffix(" percent")) / 100)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)

    def read(documents):
        texts = [clean_text(document.source, config.data.cleaning) for document in documents]
        return tokenizer(texts, padding=True, truncation=True, max_length=512, return_tensors="pt")

    def targets(documents):
        return torch.tensor([labels.index(document.text) for document in documents])

    order = np.random.default_rng(seed)
    places = np.concatenate([order.permutation(len(train)) for _ in range(epochs)])
    model.train()
    for step in range(steps):
        batch = [train[place] for place in places[step * rows : (step + 1) * rows]]
        loss = torch.nn.functional.cross_entropy(model(read(batch)), targets(batch))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
        optimizer.step()
        schedule.step()
    model.eval()
    accuracies = {}
    for split in ("validation", "test"):
        documents, right = splits[split], 0
        for first in range(0, len(documents), ROWS):
            some = documents[first : first + ROWS]
            with torch.no_grad():
                right += int((model(read(some)).argmax(-1) == targets(some)).sum())
        accuracies[split] = right / len(documents)
    return accuracies


def main(folder: str, reference: str, learning_rate: str = "", seeds: str = "3") -> None:
    """Prints a line for each seed, and the means."""
    config = load_experiment(reference)
    if learning_rate:
        config.training.learning_rate = float(learning_rate)
    splits = open_corpus(config.data).documents()[0]
    found = []
    for seed in range(int(seeds)):
        start = time.monotonic()
        found.append(fine_tune(folder, config, splits, seed))
        told = ", ".join(f"{split} {value:.4f}" for split, value in found[-1].items())
        print(f"seed {seed}: {told}, {time.monotonic() - start:.0f} s", flush=True)
    for split in found[0]:
        print(f"mean of {split}: {np.mean([each[split] for each in found]):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
