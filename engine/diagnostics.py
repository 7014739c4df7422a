"""The operator's log: what a process that drives runs did, as JSON Lines. Off unless the setting `log` names a file.

For people who run Pawl as a service and feed a log store. Nothing in it is needed to go on with a run: that is the
journal's. Texts in it are masked already, like all that a run tells (I9). Lines about single calls only with
`log_calls`: at 13 µs a line they would be a third of what a fast call costs (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from engine.errors import UsageError
from engine.events import CallSettled, CallStarted, Event, Logged, RunEnded, RunStarted, RunStatusChanged

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_OF_A_RUN = (RunStarted, RunStatusChanged, RunEnded)
_OF_A_CALL = (CallStarted, CallSettled)


def open_log(path: str | None) -> TextIO | None:
    """The file that lines are added to, or None for no log.

    Raises:
        UsageError: `bad_config`: it cannot be written.
    """
    if path is None:
        return None
    try:
        return open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as error:
        raise UsageError(
            f"the log {path!r} cannot be written: {error.strerror}", code="bad_config", hint="Change the setting `log`."
        ) from None


def lines_of(stream: TextIO | None, *, run_id: str, version: int, calls: bool) -> Callable[[Event], None] | None:
    """What writes a line for each event that matters to an operator; None without a stream."""
    if stream is None:
        return None
    log = _logger(stream).bind(run_id=run_id, version=version)

    def write(event: Event) -> None:
        if isinstance(event, Logged):
            if event.level == "warning":
                log.warning("warning", text=event.text, code=event.code)
        elif isinstance(event, _OF_A_RUN) or (calls and isinstance(event, _OF_A_CALL)):
            fields = {k: v for k, v in event.to_json().items() if k not in ("event", "run_id", "version")}
            log.info(event.kind, **fields)

    return write


def _logger(stream: TextIO) -> FilteringBoundLogger:
    import structlog

    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
    )
    return logger
