"""What Orbax and the libraries under it print beside the one error that they raise."""

import logging
import sys


def quieten() -> None:
    """Drops their warnings of options that they were given, and what they tell a second time.

    Of the many files that are written at once, those that fail after the first one are told by
    asyncio and by TensorStore, with tracebacks, when the loop that waited for them is gone.
    """
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_is_news)
    shown = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: (
        None if str(unraisable.exc_value) == "Event loop is closed" else shown(unraisable)
    )


def _is_news(record: logging.LogRecord) -> bool:
    return "never retrieved" not in record.getMessage()
