"""Programs that the user describes in `[programs]`: words with placeholders, and what they print.

    [programs.helper]
    command = ["helper", "--model", "{model}", "--dir", "{cwd}", "{prompt}"]
    output = "text"

Without `{prompt}` the prompt is on its standard input.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from engine.agents.headless.claude import ClaudeStream
from engine.agents.headless.codex import CodexStream
from engine.agents.headless.fences import Fence
from engine.agents.headless.opencode import OpencodeStream
from engine.agents.headless.program import Launch, Program, Stream, Task
from engine.settings import ProgramSettings
from engine.values import Json

STREAMS: dict[str, type[Stream]] = {"claude": ClaudeStream, "codex": CodexStream, "opencode": OpencodeStream}

_PLACEHOLDER = re.compile(r"\{(prompt|model|schema|cwd)\}")


def is_template(settings: ProgramSettings) -> bool:
    """Whether an entry under a built-in name takes its place here; else it is meant for `acp:` alone."""
    return settings.output != "text" or any(_PLACEHOLDER.search(word) for word in settings.command)


@dataclass(frozen=True, slots=True)
class Template(Program):
    """See the module. Its calls stand alone: there is no session, and what it may do is its own affair.

    Attributes:
        command: the first word of the user's command; `words` are the others.
    """

    name: str
    command: tuple[str, ...]
    words: tuple[str, ...]
    output: str = "text"
    install: str = ""
    secrets: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    login: str = ""

    def check(self, fence: Fence) -> str | None:
        if fence.named is not None:
            return "a program of [programs] cannot be held to tools"
        if fence.denied or fence.denials():
            return "a program of [programs] cannot be held to the rules of [permissions]"
        return None

    def takes_schema(self, schema: dict[str, Json]) -> bool:
        return any("{schema}" in word for word in self.words)

    def launch(self, task: Task) -> Launch:
        prompt = f"{task.system}\n\n{task.prompt}" if task.system else task.prompt
        schema = None if task.schema is None else json.dumps(task.schema, ensure_ascii=False)
        values = {"prompt": prompt, "model": task.model, "schema": schema, "cwd": task.cwd}
        is_in_words = any("{prompt}" in word for word in self.words)
        return Launch(filled((*self.command, *self.words), values)[1:], "" if is_in_words else prompt)

    def stream(self) -> Stream:
        return STREAMS.get(self.output, TextStream)()


def filled(words: tuple[str, ...], values: dict[str, str | None]) -> list[str]:
    """The words with their placeholders filled. A word with one that has no value is left out, and so is the flag
    before it: `--model {model}` without a model is nothing."""
    out: list[str] = []
    for word in words:
        names = _PLACEHOLDER.findall(word)
        if any(values[name] is None for name in names):
            if len(out) > 1 and out[-1].startswith("-") and "=" not in out[-1]:
                out.pop()
            continue
        # One pass: a prompt that holds `{model}` stays as it is.
        out.append(_PLACEHOLDER.sub(lambda found: values[found[1]] or "", word))
    return out


@dataclass(slots=True)
class TextStream(Stream):
    """All that it prints is the answer."""

    def read_text(self, line: str) -> None:
        self.value = line if self.value is None else f"{self.value}\n{line}"

    @property
    def has_events(self) -> bool:
        return False
