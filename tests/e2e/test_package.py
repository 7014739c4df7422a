"""The wheel: whole, and working in an environment and a folder that know nothing of this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(600)


def clean_environment(home: Path) -> dict[str, str]:
    """What a new user has. Where packages come from is the machine's own pip configuration."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_")) or name == "HOME"}
    return kept | {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "XDG_CACHE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(pip, check=True, stdin=subprocess.DEVNULL)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and its dependencies; returns its bin folder."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(
        pip, check=True, stdin=subprocess.DEVNULL, env=clean_environment(folder) | {"PATH": os.environ["PATH"]}
    )
    return folder / "bin"


def test_the_wheel_carries_what_the_code_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"engine/assets/stdlib_js/{path.relative_to(ROOT / 'stdlib_js')}" for path in (ROOT / "stdlib_js").rglob("*.?s")
    }
    expected |= {f"engine/assets/workflows/{path.name}" for path in (ROOT / "workflows").glob("*.js")}
    expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "engine/journal/migrations").glob("*.sql")}
    authoring = ROOT / "engine/authoring"
    expected |= {str(path.relative_to(ROOT)) for path in [*authoring.glob("*.md"), *authoring.glob("*.js")]}
    expected |= {"engine/py.typed", "sandbox/py.typed"}
    assert "engine/assets/stdlib_js/pawl.d.ts" in expected
    assert sorted(expected - names) == []


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"engine", "sandbox"}


def test_it_runs_a_workflow_from_another_folder(installed: Path, tmp_path: Path) -> None:
    project = tmp_path / "elsewhere"
    project.mkdir()

    def pawl(*words: str) -> Any:
        done = subprocess.run(
            [str(installed / "pawl"), *words, "--json"],
            cwd=project, env=clean_environment(tmp_path), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    names = {found["name"] for found in pawl("workflows")["workflows"]}
    assert {"repo-tour", "review", "deep-plan"} <= names
    told = pawl("run", "deep-plan", "--backend", "sample", "--args", '{"task": "leave the nest"}', "--yes")
    assert (told["status"], told["degraded"]) == ("completed", False)
    assert told["agents"]["live"] == told["agents"]["total"] > 10
    assert (project / ".pawl/pawl.db").is_file()
    assert pawl("replay", told["run_id"])["result"] == told["result"]


def test_without_the_model_the_default_backend_says_how_to_get_it(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(installed / "pawl"), "run", "deep-plan", "--args", '{"task": "leave the nest"}'],
        cwd=tmp_path, env=clean_environment(tmp_path), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert 'Hint: Run: pip install "pawl-engine[local]" && pawl model pull' in done.stderr
    assert "Traceback" not in done.stderr
