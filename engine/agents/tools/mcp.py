"""The tools of MCP servers that the config names."""

from __future__ import annotations

from collections.abc import Mapping

from engine.settings import McpServerSettings


class McpServers:
    """The servers of a run; a server's connection is shared by its calls."""

    def __init__(self, settings: Mapping[str, McpServerSettings], *, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ

    async def close(self) -> None:
        """Ends all connections and processes."""
