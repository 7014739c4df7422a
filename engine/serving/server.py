"""The server of the Model Context Protocol: the desk's tools, the guide as a resource and as a prompt.

The one place in this package that catches everything (`except Exception`, in a call of a tool): whatever happens, a
client gets an answer, and the server lives on. Nothing is printed: standard output is the protocol's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import PawlError, UsageError
from engine.serving.declared import TOOLS, Declared
from engine.serving.desk import Desk
from engine.values import Json

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server import Server
    from mcp.server.context import ServerRequestContext

INSTALL = 'pip install "pawl-engine[mcp]"'
GUIDE = "pawl://guide"
PROMPT = "write_workflow"
INSTRUCTIONS = (
    "Pawl runs workflows: scripts that call many subagents, whose results are kept, so that a run can be resumed. "
    "list_workflows, then run_workflow (returns a run_id at once), wait_for_run until has_ended, then run_result. "
    "To write a workflow: read_guide, then check_workflow and simulate_workflow until both are good."
)

Report = Callable[[Exception], PawlError]
"""Makes an error of ours of what nobody foresaw, and keeps the traceback somewhere."""


def require_mcp() -> None:
    """Raises `UsageError` (`not_installed`) where the package `mcp` is not here."""
    try:
        import mcp.server  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"`pawl mcp` needs the package mcp: {error}", code="not_installed", hint=f"Install it: {INSTALL}"
        ) from None


def make_server(desk: Desk, *, version: str, report: Report) -> Server[Any]:
    """A server for any number of connections."""
    import mcp_types as types
    from mcp.server import Server

    async def list_tools(context: object, params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(one) for one in TOOLS])

    async def call_tool(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        try:
            told = await desk.call(params.name, params.arguments or {}, context.session.report_progress)
        except PawlError as error:
            return _result({"error": _told(error)}, is_error=True)
        except Exception as error:  # noqa: BLE001 - the boundary of one call of a tool
            return _result({"error": _told(report(error))}, is_error=True)
        return _result(told, is_error=False)

    async def list_resources(context: object, params: object) -> types.ListResourcesResult:
        guide = types.Resource(
            uri=GUIDE,
            name="guide",
            title="How to write workflows",
            description="Format, functions, options and a good example of workflow scripts.",
            mime_type="text/markdown",
        )
        return types.ListResourcesResult(resources=[guide])

    async def read_resource(context: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        if str(params.uri) != GUIDE:
            raise _invalid(f"There is no resource {str(params.uri)[:200]!r}; there is {GUIDE}.")
        text = types.TextResourceContents(uri=GUIDE, mime_type="text/markdown", text=await desk.guide())
        return types.ReadResourceResult(contents=[text])

    async def list_prompts(context: object, params: object) -> types.ListPromptsResult:
        argument = types.PromptArgument(name="request", description="What the workflow is to do.", required=True)
        prompt = types.Prompt(
            name=PROMPT,
            title="Write a workflow",
            description="The guide, and a request for a workflow.",
            arguments=[argument],
        )
        return types.ListPromptsResult(prompts=[prompt])

    async def get_prompt(context: object, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        request = (params.arguments or {}).get("request", "")
        if params.name != PROMPT or not request.strip():
            raise _invalid(f"There is one prompt, {PROMPT}, and it takes `request`: what the workflow is to do.")
        text = types.TextContent(type="text", text=prompt_text(await desk.guide(), request))
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=text)])

    return Server(
        "pawl",
        version=version,
        title="Pawl",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )


async def serve_stdio(server: Server[Any]) -> None:
    """Serves one client over standard input and output, until it closes them."""
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def prompt_text(guide: str, request: str) -> str:
    """The guide with a request."""
    return (
        f"{guide.rstrip()}\n\n# The task\n\nWrite a workflow script for this request:\n\n{request.strip()}\n\n"
        "Then call check_workflow with it, mend what it says, call simulate_workflow, and show the script before you "
        "run it.\n"
    )


def _tool(one: Declared) -> types.Tool:
    import mcp_types as types

    hints = types.ToolAnnotations(
        title=one.title,
        read_only_hint=one.is_read_only,
        destructive_hint=one.is_destructive,
        idempotent_hint=one.is_idempotent,
        open_world_hint=one.starts_agents,
    )
    return types.Tool(
        name=one.name,
        title=one.title,
        description=one.description,
        input_schema=one.input,
        output_schema=one.output,
        annotations=hints,
    )


def _result(told: dict[str, Json], *, is_error: bool) -> types.CallToolResult:
    """As a structure, and as text for clients that read nothing else."""
    import mcp_types as types

    text = json.dumps(told, ensure_ascii=False)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], structured_content=told, is_error=is_error
    )


def _told(error: PawlError) -> dict[str, Json]:
    """Code, message and hint, the hint always; fields for programs where there are some."""
    told = error.to_json()
    return {"code": told["code"], "message": told["message"], "hint": error.hint, "fields": error.fields}


def _invalid(message: str) -> Exception:
    from mcp.shared.exceptions import MCPError
    from mcp_types import INVALID_PARAMS

    return MCPError(INVALID_PARAMS, message)
