"""Keeps the last lines of matrix-nio's log in memory, so that the output stays quiet until a step fails."""

import collections
import logging

KEPT_LINES = 60

_lines = collections.deque(maxlen=KEPT_LINES)


class _Keeper(logging.Handler):
    def emit(self, record):
        _lines.append(self.format(record))


_keeper = _Keeper(logging.WARNING)
_keeper.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
_logger = logging.getLogger("nio")
_logger.addHandler(_keeper)
_logger.propagate = False


def recent_log():
    """The kept lines, oldest first."""
    return "\n".join(_lines)
