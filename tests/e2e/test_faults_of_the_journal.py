"""A journal that is locked, read-only, on a full disk, truncated, newer, damaged: exit code 6, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pawl import COMMAND, Done, Pawl, until

SAMPLE = ("--backend", "sample")
MANY = (
    "const out = []\n"
    "for (let i = 0; i < 60; i++) {\n"
    "  const { ok } = await check(`echo ${i} >> executions`)\n"
    "  out.push(ok && (await agent(`task ${i} ` + 'x'.repeat(8000) + Math.random())).length)\n"
    "}\n"
    "return out.length\n"
)


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


@pytest.fixture
def recorded(pawl: Pawl) -> Path:
    """The journal of a run that failed after two agents."""
    body = "await agent('one')\nawait agent('two')\nthrow new Error('stop')\n"
    assert pawl("run", pawl.script(body), *SAMPLE, "--run-id", "r").code == 1
    return pawl.folder / ".pawl" / "pawl.db"


def test_locked_by_another_process_is_waited_for(pawl: Pawl, recorded: Path) -> None:
    other = sqlite3.connect(recorded, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pawl.started("run", pawl.script("return await agent('x')\n"), *SAMPLE, "--json") as process:

            def has_it_open() -> bool:
                with contextlib.suppress(OSError):
                    links = [os.readlink(path) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
                    return str(recorded) in links
                return False

            until(has_it_open, "the run has opened the journal")
            assert process.poll() is None
            other.execute("COMMIT")
            done = pawl.ended(process)
    finally:
        other.close()
    assert (done.code, done.json["status"]) == (0, "completed")


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[list[str]]:
    """`folder` cannot be written by what is started with the words that are given: root loses what lets it anyway."""
    words = ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override"] if os.getuid() == 0 else []
    if words and shutil.which(words[0]) is None:
        pytest.skip("root needs setpriv to give up its rights")
    modes = {path: path.stat().st_mode for path in (folder, *folder.iterdir())}
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield words
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_read_only_folder(pawl: Pawl, recorded: Path) -> None:
    def with_rights_of(words: list[str], *arguments: str) -> Done:
        command = [*words, *COMMAND, *arguments]
        done = subprocess.run(
            command, cwd=pawl.folder, env=pawl.environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    script = pawl.script("return 1\n", "other.js")
    with read_only(recorded.parent) as words:
        assert with_rights_of(words, "runs", "--json").json["runs"][0]["run_id"] == "r"
        assert with_rights_of(words, "show", "r", "--calls", "--json").json["agents"]["total"] == 2
        assert with_rights_of(words, "log", "r").code == 0
        assert with_rights_of(words, "verify").code == 0
        assert with_rights_of(words, "replay", "r").code == 0
        for arguments in (["run", script, *SAMPLE], ["resume", "r"], ["delete", "r"], ["pause", "r"]):
            done = with_rights_of(words, *arguments, "--json")
            assert (done.code, done.json["error"]["code"]) in ((6, "journal_unwritable"), (2, "run_ended")), done
            assert done.err.startswith(f"Error: the journal {recorded} cannot be used: ") or done.code == 2
    assert pawl("resume", "r").code == 1


def test_a_full_disk(pawl: Pawl, tmp_path: Path) -> None:
    """A disk of one megabyte. The run stops; with room it goes on and repeats at most what was in flight."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        _fill(pawl, disk / "pawl.db", None)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        _go_on(pawl, disk / "pawl.db")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_size_limit(pawl: Pawl) -> None:
    journal = pawl.folder / ".pawl" / "pawl.db"
    _fill(pawl, journal, 400_000)
    _go_on(pawl, journal)


def _fill(pawl: Pawl, journal: Path, most_bytes: int | None) -> None:
    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    flags = ("--run-id", "r", "--allow", "check", "--journal", str(journal), "--quiet", "--json")
    done = subprocess.run(
        [*COMMAND, "run", pawl.script(MANY), *SAMPLE, *flags],
        cwd=pawl.folder,
        env=pawl.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 6, done
    lines = done.stderr.splitlines()
    assert f"The run stopped. Go on with: pawl resume r --journal {journal}" in lines
    said = f"Error: the journal {journal} cannot grow: the disk, the quota or the file size limit is used up"
    assert said in lines
    assert Done(6, done.stdout, "").json["error"]["code"] == "journal_full"
    assert Done(6, done.stdout, "").json["run_id"] == "r"


def _go_on(pawl: Pawl, journal: Path) -> None:
    where = ("--journal", str(journal))
    settled = pawl("show", "r", "--calls", "--json", *where).json["calls"]
    ok = sum(call["outcome"] == "ok" for call in settled)
    assert ok > 2
    done = pawl("resume", "r", "--json", *where)
    assert (done.code, done.json["result"]) == (0, 60)
    assert done.json["agents"]["reused"] >= ok // 2
    times = Counter(Counter((pawl.folder / "executions").read_text().split()).values())
    assert times[1] >= 59 and times[1] + times[2] == 60
    assert pawl("verify", *where).code == 0


def test_damaged(pawl: Pawl, recorded: Path) -> None:
    whole = recorded.read_bytes()

    def refused(code: str, *commands: list[str]) -> None:
        before = recorded.read_bytes()
        for arguments in commands:
            done = pawl(*arguments, "--json")
            assert (done.code, done.json["error"]["code"]) == (6, code), (arguments, done)
            assert done.err.startswith("Error: the journal ") and "\nHint: " in done.err
        assert recorded.read_bytes() == before

    everything = [["runs"], ["show", "r"], ["verify"], ["resume", "r"], ["run", pawl.script("return 1\n"), *SAMPLE]]
    recorded.write_bytes(whole[: len(whole) // 2])
    refused("journal_damaged", *everything)
    recorded.write_bytes(b"no database at all " * 500)
    refused("journal_damaged", *everything)
    recorded.write_bytes(whole)
    with sqlite3.connect(recorded) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    refused("journal_newer", *everything)
    recorded.write_bytes(whole)
    assert pawl("verify").code == 0


def test_a_flipped_byte(pawl: Pawl, recorded: Path) -> None:
    data = bytearray(recorded.read_bytes())
    at = data.index(b"Sample answer")  # of the first agent
    data[at] ^= 1
    recorded.write_bytes(data)
    done = pawl("verify", "--json")
    assert done.code == 6
    assert done.json["problems"][0]["table"] == "settlements"
    assert done.json["problems"][0]["problem"] == "does not fit its checksum"
    done = pawl("resume", "r", "--json")
    assert (done.code, done.json["error"]["code"]) == (6, "journal_damaged")
    assert "pawl verify" in done.err
    assert pawl("export", "r", "-o", "r.pawl").code == 6
    # Flipped back, everything is there.
    data = bytearray(recorded.read_bytes())
    data[at] ^= 1
    recorded.write_bytes(data)
    assert pawl("verify").code == 0
    assert pawl("resume", "r", "--json").json["agents"]["reused"] == 2


def test_an_empty_file_is_an_empty_journal(pawl: Pawl) -> None:
    journal = pawl.folder / ".pawl" / "pawl.db"
    journal.touch()
    assert pawl("runs", "--json").json == {"runs": []}
    assert pawl("run", pawl.script("return 1\n"), *SAMPLE).code == 0


def test_the_journal_is_a_folder(pawl: Pawl) -> None:
    (pawl.folder / ".pawl" / "pawl.db").mkdir()
    for arguments in (["runs"], ["run", pawl.script("return 1\n"), *SAMPLE]):
        done = pawl(*arguments, "--json")
        assert (done.code, done.json["error"]["code"]) == (6, "journal_unwritable"), done
