"""A real MCP server for tests: `python mcp_server.py [PORT]`, over pipes or, with a port, HTTP."""

import os
import sys

from mcp.server import MCPServer

server = MCPServer("tests")


@server.tool()
def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return str(a + b)


@server.tool()
def variable(name: str) -> str:
    """Gives a variable of the server's environment."""
    return os.environ.get(name, "[unset]")


@server.tool()
def pid() -> str:
    """Gives the server's process."""
    return str(os.getpid())


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("it is broken")


@server.tool()
def die() -> str:
    """Ends the server in the middle of a call."""
    os._exit(3)


@server.tool()
def flood(characters: int) -> str:
    """Gives a long text."""
    return "x" * characters


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
