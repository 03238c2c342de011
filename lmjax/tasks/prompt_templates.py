"""How a labelled text is written so that a language model can tell its label: templates as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lmjax.errors import UserError
from lmjax.runs.fields import check_fields, is_text
from lmjax.runs.files import read_json

PLACE = "{text}"  # where a template has the text
FIELDS = {"example": is_text, "labels": {...: is_text}}
OPTIONAL = ("instruction", "separator")


@dataclass(frozen=True)
class Template:
    """`instruction`, then of each example `example` with its text, a blank, the words of its label
    and `separator`, then `example` with the text whose label is asked for.

    Raises UserError for an example without a place for the text, and labels of equal words.
    """

    example: str
    labels: Mapping[str, str]  # the words of each label of the data
    instruction: str = ""
    separator: str = "\n\n"

    def __post_init__(self):
        if self.example.count(PLACE) != 1:
            raise UserError(
                f"the template's example {self.example[:80]!r} must have {PLACE} once, where the "
                "text stands"
            )
        words = list(self.labels.values())
        if len(words) < 2 or len(set(words)) < len(words) or not all(map(str.strip, words)):
            raise UserError(
                f"a template needs two labels or more, each with words of its own; these are "
                f"{dict(self.labels)}"
            )

    def question(self, text: str) -> str:
        """The example with its text, up to where the label comes."""
        return self.example.replace(PLACE, text)

    def answer(self, label: str) -> str:
        """What follows the example that has this label."""
        return f" {self.labels[label]}"


# Those of Zhao et al. (2021), Calibrate Before Use, table 5, but for ENTY's and ABBR's whole words.
TEMPLATES = {
    "sst2": Template("Review: {text}\nSentiment:", {"0": "Negative", "1": "Positive"}),
    "trec": Template(
        "Question: {text}\nAnswer Type:",
        {
            "NUM": "Number",
            "LOC": "Location",
            "HUM": "Person",
            "DESC": "Description",
            "ENTY": "Entity",
            "ABBR": "Abbreviation",
        },
        "Classify the questions based on whether their answer type is a Number, Location, Person, "
        "Description, Entity, or Abbreviation.\n\n",
    ),
    "ag_news": Template(
        "Article: {text}\nAnswer:",
        {
            "World": "World",
            "Sports": "Sports",
            "Business": "Business",
            "Sci/Tech": "Technology",
        },
        "Classify the news articles into the categories of World, Sports, Business, and "
        "Technology.\n\n",
    ),
}
TEMPLATES["sst2_glue"] = TEMPLATES["sst2"]


def template_of(task: str, file: str = "") -> Template:
    """The template of a task, or the one in a JSON file with the fields of a template.

    Raises UserError if there is none, and for a file that is none.
    """
    if not file:
        if task not in TEMPLATES:
            raise UserError(
                f"task {task!r} has no template (those that have: {', '.join(sorted(TEMPLATES))}); "
                'give one by --template=FILE, such as {"example": "Text: {text}\\nTopic:", '
                '"labels": {"1": "sports", "2": "business"}}'
            )
        return TEMPLATES[task]
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{path} is no file; check --template")
    fields = read_json(path)
    check_fields(fields, FIELDS, path, cure="see lmjax prompt --help")
    given = {name: fields[name] for name in OPTIONAL if name in fields}
    check_fields(given, {...: is_text}, path, cure="give texts")
    if unknown := set(fields) - set(FIELDS) - set(OPTIONAL):
        raise UserError(
            f"{path} has unknown fields {', '.join(sorted(unknown))}; a template's are "
            f"{', '.join([*FIELDS, *OPTIONAL])}"
        )
    return Template(fields["example"], fields["labels"], **given)
