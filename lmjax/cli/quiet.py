"""What libraries print beside the one error that they raise when many files fail at once."""

import logging
import sys


def quieten() -> None:
    """Drops what asyncio and TensorStore say, with tracebacks, of the failures after the first.

    They say it when the loop that waited for those files is gone.
    """
    logging.getLogger("asyncio").addFilter(_is_news)
    shown = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: (
        None if str(unraisable.exc_value) == "Event loop is closed" else shown(unraisable)
    )


def _is_news(record: logging.LogRecord) -> bool:
    return "never retrieved" not in record.getMessage()
