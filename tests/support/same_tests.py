"""Proves that two environments run the same tests: `same_tests.py PYTHON PYTHON PATH…`.

A suite that is collected with fewer tests passes for the wrong reason. Exits 1 and names the difference.
"""

from __future__ import annotations

import subprocess
import sys


def collect(python: str, paths: list[str]) -> list[str]:
    """The node ids of all tests under `paths`, as that interpreter's pytest sees them."""
    listing = subprocess.run(
        [python, "-m", "pytest", "--collect-only", "-q", *paths], capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        sys.exit(f"{python} cannot collect {' '.join(paths)}:\n{listing.stdout}{listing.stderr}")
    return [line for line in listing.stdout.splitlines() if "::" in line]


def main(one: str, other: str, paths: list[str]) -> None:
    first, second = collect(one, paths), collect(other, paths)
    if first != second:
        only_first, only_second = sorted(set(first) - set(second)), sorted(set(second) - set(first))
        lines = [f"only in {one}: {test}" for test in only_first] + [f"only in {other}: {test}" for test in only_second]
        sys.exit("\n".join(["The two environments do not run the same tests.", *lines]))
    if not first:
        sys.exit(f"There are no tests under {' '.join(paths)}")
    print(f"{len(first)} tests in both environments")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
