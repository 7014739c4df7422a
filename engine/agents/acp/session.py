"""Opening a session: a new one, or that of an earlier attempt; then its mode, its model, its effort."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.agents.acp.connection import Agent, SessionLost
from engine.agents.acp.programs import Opening
from engine.agents.headless.program import rows, table
from engine.errors import AgentError
from engine.executors import Emit
from engine.values import Json


@dataclass(slots=True)
class Session:
    """An open session.

    Attributes:
        is_continued: it has an earlier attempt's conversation.
        offers: what the agent told when it was opened: modes, models, options.
    """

    id: str
    is_continued: bool
    offers: Mapping[str, Json] = field(default_factory=dict)


async def open_session(
    agent: Agent, *, cwd: str, servers: list[Json], opening: Opening, earlier: str | None
) -> Session:
    """A new session, or the earlier one where the agent has it and can go on with it.

    Raises:
        AgentError: as `Agent.open`.
    """
    params: dict[str, Json] = {"cwd": cwd, "mcpServers": servers}
    if opening.meta:
        params["_meta"] = dict(opening.meta)
    method = _continuing(agent) if earlier is not None else None
    if earlier is not None and method is not None:
        try:
            told = await agent.open(method, {**params, "sessionId": earlier})
            agent.sessions.append(earlier)
            return Session(earlier, True, told)
        except SessionLost:
            pass
    told = await agent.open("session/new", params)
    session = str(told.get("sessionId") or "")
    agent.sessions.append(session)
    return Session(session, False, told)


def _continuing(agent: Agent) -> str | None:
    """The agent's way to go on with a session: the one that does not tell the conversation again, if it has it."""
    if "resume" in table(agent.capabilities.get("sessionCapabilities")):
        return "session/resume"
    return "session/load" if agent.capabilities.get("loadSession") is True else None


class Choices:
    """Sets what a call asks for, by the ways that the agent offers. `name`: of the backend, for messages."""

    def __init__(self, agent: Agent, session: Session, name: str, emit: Emit) -> None:
        self._agent = agent
        self._session = session
        self._name = name
        self._emit = emit
        self._options = rows(session.offers.get("configOptions"))

    async def set_mode(self, mode: str | None, *, is_needed: bool) -> None:
        """Raises `AgentError` (`mode_missing`) when one that is needed is not offered."""
        if mode is None:
            return
        modes = table(self._session.offers.get("modes"))
        if modes.get("currentModeId") == mode:
            return
        if mode in [str(one.get("id")) for one in rows(modes.get("availableModes"))]:
            await self._agent.open("session/set_mode", {"sessionId": self._session.id, "modeId": mode})
            return
        if await self._choose("mode", mode) or not is_needed:
            return
        raise AgentError(
            f"{self._name}: it has no mode {mode!r}, in which it asks before it acts",
            code="mode_missing",
            hint="Install the version of the program that docs/coding-agents-acp.md names.",
        )

    async def set_model(self, model: str | None) -> None:
        """Raises `AgentError` (`provider_refused`) for a model that the agent does not offer."""
        if model is None or await self._choose("model", model):
            return
        models = table(self._session.offers.get("models"))
        known = [str(one.get("modelId")) for one in rows(models.get("availableModels"))]
        current = str(models.get("currentModelId") or "")
        if model in (current, current.partition("[")[0]):
            return
        if model in known:
            await self._agent.open("session/set_model", {"sessionId": self._session.id, "modelId": model})
            return
        offered = [*known, *self._values("model")]
        close = difflib.get_close_matches(model, offered, n=3, cutoff=0.3)
        raise AgentError(
            f"{self._name}: it has no model {model!r}" + (f"; near to it are {', '.join(close)}" if close else ""),
            code="provider_refused",
            hint="Name one that the program offers, or set it up in the program's own configuration.",
        )

    def model(self, asked: str | None) -> str | None:
        """The one that was asked for, else the one that the agent says it has; as price lists name it."""
        current = table(self._session.offers.get("models")).get("currentModelId")
        option = self._option("model")
        told = asked or current or (option.get("currentValue") if option is not None else None)
        return str(told).partition("[")[0] if told else None  # codex: `gpt-5[high]`

    async def set_effort(self, effort: str | None) -> None:
        """An effort that is not offered is left out, with a notice."""
        if effort is None or await self._choose("thought_level", effort):
            return
        if effort == "max" and await self._choose("thought_level", "xhigh"):
            return
        self._emit({"notice": f"{self._name}: effort {effort!r} is not offered for this model", "code": "no_effort"})

    def _option(self, category: str) -> dict[str, Json] | None:
        return next((one for one in self._options if category in (one.get("category"), one.get("id"))), None)

    def _values(self, category: str) -> list[str]:
        option = self._option(category)
        found = rows(option.get("options")) if option is not None else []
        inner = [one for group in found for one in (rows(group.get("options")) if "options" in group else [group])]
        return [str(one.get("value")) for one in inner]

    async def _choose(self, category: str, value: str) -> bool:
        """Whether the option has this value now."""
        option = self._option(category)
        if option is None:
            return False
        if option.get("currentValue") == value:
            return True
        if value not in self._values(category):
            return False
        params: dict[str, Json] = {"sessionId": self._session.id, "configId": option.get("id"), "value": value}
        told = await self._agent.open("session/set_config_option", params)
        self._options = rows(told.get("configOptions")) or self._options  # a model has efforts of its own
        return True
