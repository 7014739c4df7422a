"""What a tool is: a description for models, the argument that permissions look at, and the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from engine.agents.policy import Gate
from engine.agents.tools.outputs import Outputs
from engine.ports import Clock
from engine.settings import ToolSettings
from engine.workspace import Workspace

Args = dict[str, Any]
"""Arguments that fit the tool's parameters."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """How a tool is shown to a model. `parameters` is JSON Schema; `is_read_only`: may run beside others."""

    name: str
    description: str
    parameters: dict[str, Any]
    is_read_only: bool


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a model is told; `ok` False when the tool did not do what was asked."""

    text: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """What the tools of one call share.

    Attributes:
        environ: of the commands that tools start, without secrets.
        outputs: keeps what does not fit into a result.
        scratch: the folder for temporary files of this call's commands; made when first asked for.
    """

    workspace: Workspace
    settings: ToolSettings
    gate: Gate
    clock: Clock
    environ: Mapping[str, str]
    outputs: Outputs
    scratch: Callable[[], str]


class Tool(Protocol):
    """One tool. Stateless: what it works on is in `Setting`."""

    spec: ClassVar[ToolSpec]

    def argument(self, args: Args, setting: Setting) -> str:
        """What the permission rules look at. Raises `ToolFailed` for arguments that lead nowhere."""
        ...

    async def run(self, args: Args, setting: Setting, admitted: str) -> str:
        """Does it. `admitted` is what `argument` gave and the policy let pass. Raises `ToolFailed`."""
        ...


def parameters(required: tuple[str, ...] = (), /, **properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
