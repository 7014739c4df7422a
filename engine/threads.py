"""Blocking work beside the event loop, which waits for it even when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

_T = TypeVar("_T")


async def in_thread(function: Callable[..., _T], *args: object, cancel: Callable[[], None] | None = None) -> _T:
    """What `function(*args)` gives. A thread cannot be stopped: who is cancelled waits for it, and nothing goes on
    behind the run's back.

    Args:
        cancel: asks the thread to end soon.
    """
    future = asyncio.get_running_loop().run_in_executor(None, partial(function, *args))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if cancel is not None:
            cancel()
        await asyncio.wait([future])
        future.exception()  # nobody wants to know any more
        raise
