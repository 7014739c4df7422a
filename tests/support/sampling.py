"""Which of many like cases an ordinary run of the tests takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def some(cases: Iterable[Any], *, most: int = 3) -> Sequence[Any]:
    """The cases for `parametrize`: the first, the last and some between for `make test`, all for `make soak`."""
    listed = list(cases)
    step = max(1, len(listed) - 1) / max(1, most - 1)
    taken = {round(step * at) for at in range(most)}
    return [one if at in taken else pytest.param(one, marks=pytest.mark.soak) for at, one in enumerate(listed)]
