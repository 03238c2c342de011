"""What libraries print beside the one error that they raise when many files fail at once."""

import logging
import sys


def quieten() -> None:
    """Drops what asyncio and TensorStore say, with tracebacks, of the failures after the first.

    They say it when the loop that waited for those files is gone.
    """
    logging.getLogger("asyncio").addFilter(_is_news)
    shown = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None if _is_told(unraisable) else shown(unraisable)


def _is_told(unraisable) -> bool:
    return str(unraisable.exc_value) == "Event loop is closed"


def _is_news(record: logging.LogRecord) -> bool:
    return "never retrieved" not in record.getMessage()
