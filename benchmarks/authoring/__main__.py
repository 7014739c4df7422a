"""`python -m benchmarks.authoring`, which `python -m benchmarks authoring` calls, too."""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.authoring import run


def main(given: list[str] | None = None) -> int:
    """Prints the table. Returns 1 when a recorded answer fails a check; what a model writes never fails a benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks authoring", description=run.__doc__)
    parser.add_argument("names", nargs="*", metavar="REQUEST", help="of requests.json (all)")
    parser.add_argument("--backend", help="have a model write: openai:MODEL, local, … (without it: recorded answers)")
    parser.add_argument("--json", action="store_true", help="rows on standard output")
    options = parser.parse_args(given)
    if unknown := set(options.names) - {request.name for request in run.requests()}:
        parser.error(f"unknown request {sorted(unknown)[0]!r}")
    asked = [request for request in run.requests() if request.name in options.names]
    if options.backend is None and (unanswered := [one.name for one in asked if not run.answer_of(one).exists()]):
        parser.error(f"request {unanswered[0]!r} has no recorded answer: name a model with --backend")
    rows = asyncio.run(run.measured(options.backend, options.names))
    print(run.as_json(rows) if options.json else run.table(rows))
    return 1 if options.backend is None and any(row.failed for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
