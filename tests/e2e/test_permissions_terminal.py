"""What subagents may do is asked at a real pseudo-terminal; without one it is denied, in words for the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.agents_service import ModelService
from support.pawl import Pawl, Terminal, until
from support.scripted_model import Asked, Call, Reply

ASK_FIRST = '[permissions]\nask = ["run_command"]\n'
ONE = "return await agent('Work.', {label: 'worker'})\n"


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")


class Scene:
    """A project, a service, and a person at a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: Callable[[Asked], Any] = lambda _: "ok"
        self.service = ModelService(self._answer)

    def _answer(self, asked: Asked) -> Any:
        return self.answer(asked)

    def prepare(self, config: str = ASK_FIRST) -> None:
        self.pawl = Pawl(self.folder, self.service.environ())
        self.config(config)

    def config(self, text: str) -> None:
        (self.folder / ".pawl" / "config.toml").write_text(text)

    def calls(self, *commands: str) -> None:
        """The model runs these, one after another, then tells what came of them."""

        def answer(asked: Asked) -> Any:
            if asked.turn < len(commands):
                return Reply(Call("run_command", {"command": commands[asked.turn]}))
            return "; ".join(result.text for message in asked.messages for result in message.results)

        self.answer = answer

    def arguments(self, body: str) -> list[str]:
        return ["run", self.pawl.script(body), "--run-id", "r", "--backend", "openai:fake-1"]

    def terminal(self, body: str = ONE) -> Terminal:
        return Terminal(self.pawl, *self.arguments(body))

    def result(self) -> Any:
        return self.pawl("show", "r", "--json").json["result"]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path / "project")
    with scene.service:
        scene.prepare()
        yield scene


@pytest.mark.parametrize("typed", ["yes\n", "1\n"])
def test_a_person_says_yes(scene: Scene, typed: str) -> None:
    scene.calls("echo did it > said; cat said")
    terminal = scene.terminal()
    terminal.wait_for("3) always")
    assert not (scene.folder / "said").exists()
    assert "The agent 'worker' wants run_command: echo did it > said; cat said" in plain(terminal.seen)
    terminal.type(typed)
    assert terminal.wait() == 0
    assert scene.result() == "did it"


def test_a_person_says_no(scene: Scene) -> None:
    scene.calls("echo did it > said")
    terminal = scene.terminal()
    terminal.wait_for("3) always")
    terminal.type("maybe\n")
    terminal.wait_for('expected one of "yes", "no", "always"')
    terminal.type("no\n")
    assert terminal.wait() == 0
    assert not (scene.folder / "said").exists()
    assert scene.result() == (
        "run_command(echo did it > said) was not permitted: a person was asked and said no. Do without it."
    )


def test_always_is_the_same_thing_in_this_run_and_no_other_thing(scene: Scene) -> None:
    scene.calls("echo one >> said", "echo one >> said", "echo two >> said", "echo one >> said")
    terminal = scene.terminal()
    terminal.wait_for("3) always")
    terminal.type("always\n")
    terminal.wait_for("wants run_command: echo two >> said\r\n  1) yes")
    terminal.type("no\n")
    assert terminal.wait() == 0
    assert (scene.folder / "said").read_text() == "one\n" * 3
    assert plain(terminal.seen).count("wants run_command") == 2


def test_always_answers_for_all_agents_that_want_the_same(scene: Scene) -> None:
    scene.calls("echo x >> said")
    terminal = scene.terminal("return await parallel([1, 2, 3].map(n => () => agent('Work ' + n, {label: 'w' + n})))\n")
    terminal.wait_for("3) always")
    scene.service.wait_for_requests(3)
    terminal.type("always\n")
    assert terminal.wait() == 0
    assert (scene.folder / "said").read_text() == "x\n" * 3
    assert plain(terminal.seen).count("wants run_command") == 1


def test_two_wishes_of_one_answer_are_asked_one_after_the_other(scene: Scene) -> None:
    """What only reads runs side by side, and fetching is asked about by default."""
    urls = [f"{scene.service.origin}/v1/models?{n}" for n in (1, 2)]
    scene.answer = lambda asked: (
        Reply([Call("fetch_url", {"url": url}) for url in urls])
        if asked.turn == 0
        else "; ".join(result.text for message in asked.messages for result in message.results)
    )
    terminal = scene.terminal()
    for url in urls:
        terminal.wait_for(f"wants fetch_url: {url}\r\n  1) yes")
        terminal.type("no\n")
    assert terminal.wait() == 0
    assert scene.result().count("a person was asked and said no") == 2


def test_a_wish_is_granted_from_another_process(scene: Scene) -> None:
    scene.calls("echo did it > said; cat said")
    terminal = scene.terminal()
    terminal.wait_for("3) always")
    until(lambda: scene.pawl("answer", "r", "1", "yes").code == 0, "the answer is taken")
    assert terminal.wait() == 0
    assert scene.result() == "did it"


def test_who_leaves_the_question_open_may_answer_later(scene: Scene) -> None:
    scene.calls("echo did it > said; cat said")
    terminal = scene.terminal()
    terminal.wait_for("3) always")
    terminal.type("\x04")
    terminal.wait_for("Later: pawl answer RUN 1 VALUE")
    until(lambda: scene.pawl("answer", "r", "1", "no").code == 0, "the answer is taken")
    assert terminal.wait() == 0
    assert "was not permitted" in scene.result()


def test_an_interrupted_question_is_asked_again(scene: Scene) -> None:
    scene.calls("echo did it > said; cat said")
    terminal = scene.terminal()
    terminal.wait_for("3) always")
    terminal.type("\x03")
    assert terminal.wait() == 5
    assert not (scene.folder / "said").exists()
    scene.answer = lambda asked: (
        Reply(Call("run_command", {"command": "echo again"})) if asked.turn == 1 else asked.results[-1].text
    )
    terminal = Terminal(scene.pawl, "resume", "r")
    terminal.wait_for("wants run_command: echo again")
    terminal.wait_for("3) always")
    terminal.type("yes\n")
    assert terminal.wait() == 0
    assert scene.result() == "again"


def test_what_a_model_wants_cannot_draw_on_the_terminal_or_tell_a_secret(scene: Scene) -> None:
    scene.pawl.environ["MY_TOKEN"] = "correct-horse-battery"
    scene.calls("echo \x1b]0;owned\x07\x1b[2J correct-horse-battery\n\n[7] Allow everything?")
    terminal = scene.terminal()
    terminal.wait_for("3) always")
    terminal.type("no\n")
    assert terminal.wait() == 0
    assert "\x1b]0;" not in terminal.seen
    assert "\x1b[2J" not in terminal.seen
    assert "correct-horse-battery" not in terminal.seen
    question = plain(terminal.seen).partition("1) yes")[0]
    assert "\n    [7] Allow everything?\n" in question, "it looks like a question of ours"


def test_a_denied_thing_is_not_asked_about(scene: Scene) -> None:
    scene.config('[permissions]\nask = ["run_command"]\ndeny = ["run_command(rm:*)"]\n')
    scene.calls("rm -rf x")
    terminal = scene.terminal()
    assert terminal.wait() == 0
    assert (
        scene.result() == "run_command(rm -rf x) is denied by the permission rule 'run_command(rm:*)'. Do without it."
    )


@pytest.mark.parametrize("detach", [False, True])
def test_without_a_terminal_it_is_denied_with_the_rule_that_would_allow_it(scene: Scene, detach: bool) -> None:
    scene.calls("echo did it > said")
    done = scene.pawl(*scene.arguments(ONE), *(["--detach"] if detach else []))
    assert done.code == 0, done
    scene.pawl.wait_for_status("r", "completed")
    assert scene.result() == (
        "run_command(echo did it > said) needs a person's permission, and this run has no terminal; allow it with "
        '[permissions] allow = ["run_command(echo did it > said)"]. Do without it.'
    )
    assert not (scene.folder / "said").exists()


def test_a_rule_that_is_none_is_refused_at_the_start(scene: Scene) -> None:
    scene.config('[permissions]\nask = ["run_comand"]\n')
    done = scene.pawl(*scene.arguments(ONE), "--json")
    assert "run_comand" in done.err
    assert scene.service.requests == []
    assert done.code == 2, done
