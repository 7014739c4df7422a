"""Runs the real `pawl` as a person or a program does: a process of its own, with or without a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "engine.cli.main"]
PATIENCE_S = 60.0
"""How long anything may take on a machine that is busy with other things; nothing waits for it when all is well."""

HEAD = "export const meta = { name: 'test', description: 'a test' }\n"


@dataclass
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Pawl:
    """A project in a folder of its own, and the command line in it."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / ".pawl").mkdir(parents=True, exist_ok=True)
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("PAWL_", "XDG_")) and not k.endswith("_API_KEY")
        }
        self.environ = {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "xterm", **self.environ}

    def script(self, body: str, name: str = "test.js", *, head: str = HEAD) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + body)
        return str(path)

    def __call__(self, *arguments: str, stdin: str | None = None, cwd: Path | None = None, **environ: str) -> Done:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=cwd or self.folder,
            env={**self.environ, **environ},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on in the background; killed when the block is left."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=PATIENCE_S)

    def ended(self, process: subprocess.Popen[str]) -> Done:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err, err
        return Done(process.returncode, out, err)

    def wait_for(self, run: str, what: str) -> Any:
        """`pawl show` of a run once one of its calls stands as `what`: `running`, `waiting`, `ok`…"""

        def look() -> Any:
            shown = self("show", run, "--calls", "--json")
            if shown.code == 0 and any(call["outcome"] == what for call in shown.json["calls"]):
                return shown.json
            return None

        return until(look, f"a call of {run} is {what}")

    def wait_for_status(self, run: str, *statuses: str) -> Any:
        def look() -> Any:
            shown = self("show", run, "--json")
            return shown.json if shown.code == 0 and shown.json["status"] in statuses else None

        return until(look, f"{run} is {' or '.join(statuses)}")


def until(look: Any, what: str) -> Any:
    """What `look` returns as soon as it is true."""
    patient_until = time.monotonic() + PATIENCE_S
    while time.monotonic() < patient_until:
        if found := look():
            return found
        select.select([], [], [], 0.02)
    raise AssertionError(f"waited {PATIENCE_S:.0f} s until {what}")


class Terminal:
    """A command at a pseudo-terminal of its own, which is its controlling terminal."""

    def __init__(self, pawl: Pawl, *arguments: str, rows: int = 24, columns: int = 100) -> None:
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(pawl.folder)
            os.execve(COMMAND[0], [*COMMAND, *arguments], pawl.environ)
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGWINCH)

    def wait_for(self, text: str) -> str:
        """Reads until `text` has been shown; returns everything seen so far."""
        until(lambda: text in self.seen or (not self._read() and text in self.seen), f"the terminal shows {text!r}")
        return self.seen

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait(self) -> int:
        """The exit code of the command, once it has ended."""

        def look() -> tuple[int, int] | None:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (pid, status) if pid else None

        _, status = until(look, "the command ends")
        while self._read():
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.fd], [], [], 0.02)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)
