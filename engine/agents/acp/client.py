"""What an agent asks of us while it works: permissions, and files of the workspace.

Both go through the tools that the call names and the policy, and files only as far as the workspace reaches. Terminals
are not offered (`connection.py`): each agent that is built in runs commands itself.
"""

from __future__ import annotations

import asyncio

from engine.agents.acp.permissions import ALLOW, REJECT, Permissions, Use, chosen, use_of
from engine.agents.acp.updates import Updates
from engine.agents.headless.program import rows, table
from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.files import read_bytes, replace, text_of, way
from engine.errors import PawlError
from engine.threads import in_thread
from engine.values import Json

_CANCELLED: dict[str, Json] = {"outcome": {"outcome": "cancelled"}}


class Client:
    """Our side of one call."""

    def __init__(self, permissions: Permissions, updates: Updates) -> None:
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._permissions = permissions
        self._updates = updates
        self._is_cancelled = asyncio.Event()

    def cancel(self) -> None:
        """Whoever waits for a permission is told that nobody answers any more."""
        self._is_cancelled.set()

    async def failed(self) -> None:
        """Waits for ever; raises what broke while a request was answered: the call cannot go on then."""
        await asyncio.shield(self._failure)

    def take_denied(self) -> list[str]:
        """Why things were refused since this was last asked."""
        denied, self._permissions.denied = self._permissions.denied, []
        return denied

    async def handle(self, method: str, params: dict[str, Json], is_notification: bool) -> dict[str, Json] | None:
        """See `connection.Handler`. Raises `acp.RequestError`, which the agent gets."""
        from acp import RequestError

        if is_notification:
            if method == "session/update":
                self._updates.take(table(params.get("update")))
            return None
        try:
            match method:
                case "session/request_permission":
                    return await self._permit(params)
                case "fs/read_text_file":
                    return await self._read(params)
                case "fs/write_text_file":
                    return await self._write(params)
        except ToolFailed as error:
            raise RequestError(-32603, str(error)) from None
        except PawlError as error:  # the record, a rule that cannot be read: the call cannot go on
            if not self._failure.done():
                self._failure.set_exception(error)
            raise RequestError(-32603, "the client cannot go on") from None
        raise RequestError.method_not_found(method)

    async def _permit(self, params: dict[str, Json]) -> dict[str, Json]:
        options = rows(params.get("options"))
        told = await self._updates.record_call(table(params.get("toolCall")))
        use = use_of(told)
        deciding = asyncio.ensure_future(self._decide(use))
        cancelled = asyncio.ensure_future(self._is_cancelled.wait())
        try:
            await asyncio.wait([deciding, cancelled], return_when=asyncio.FIRST_COMPLETED)
            if not deciding.done():
                return _CANCELLED
            why = deciding.result()
        finally:
            deciding.cancel()
            cancelled.cancel()
        option = chosen(options, ALLOW if why is None else REJECT)
        # Without the option that is wanted, nothing is allowed, and nobody is left waiting.
        return _CANCELLED if option is None else {"outcome": {"outcome": "selected", "optionId": option}}

    async def _decide(self, use: Use | None) -> str | None:
        return None if use is None else await self._permissions.admit(use)

    async def _read(self, params: dict[str, Json]) -> dict[str, Json]:
        path = await self._admitted("read_file", params)
        text = await in_thread(lambda: text_of(read_bytes(self._permissions.workspace, path), path))
        line, limit = params.get("line"), params.get("limit")
        if isinstance(line, int) or isinstance(limit, int):
            first = max(0, (line if isinstance(line, int) else 1) - 1)
            lines = text.splitlines(keepends=True)[first:]
            text = "".join(lines[:limit] if isinstance(limit, int) else lines)
        return {"content": text}

    async def _write(self, params: dict[str, Json]) -> dict[str, Json]:
        path = await self._admitted("write_file", params)
        data = str(params.get("content") or "").encode("utf-8", "replace")
        await in_thread(lambda: replace(self._permissions.workspace, path, data))
        return {}

    async def _admitted(self, tool: str, params: dict[str, Json]) -> str:
        path = str(params.get("path") or "")
        why = await self._permissions.admit(Use(tool, paths=(path,)))
        if why is not None:
            raise ToolFailed(why)
        return way(self._permissions.workspace, path)
