"""The conventions by the name that their config.json gives as `model_type`."""

from lmjax.interop.bert import BERT
from lmjax.interop.gpt2 import GPT2
from lmjax.interop.marian import MARIAN
from lmjax.interop.t5 import T5

CONVENTIONS = {convention.model_type: convention for convention in (BERT, GPT2, MARIAN, T5)}
