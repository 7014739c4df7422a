"""Files that ship with Pawl: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def stdlib_files() -> tuple[tuple[str, str], ...]:
    """The JavaScript of the standard library, (path below `stdlib_js`, text) in the order in which it is evaluated:
    the numbered files, then the patterns."""
    folder = _folder("stdlib_js")
    paths = [*sorted(folder.glob("*.js")), *sorted(folder.glob("patterns/*.js"))]
    return tuple((path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")) for path in paths)


def types_file() -> Path:
    """The types of the library's globals, for editors."""
    return _folder("stdlib_js") / "pawl.d.ts"


def workflows_dir() -> Path:
    """The workflows that ship with Pawl."""
    return _folder("workflows")


def _folder(name: str) -> Path:
    """In a wheel `engine/assets/NAME`; in a checkout NAME beside the package."""
    inside = _PACKAGE / "assets" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


@cache
def stdlib_version() -> str:
    """Names a state of the standard library; recorded with each run, in no key."""
    digest = sha256()
    for name, text in stdlib_files():
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()[:16]
