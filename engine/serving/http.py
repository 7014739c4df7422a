"""The server over HTTP (streamable HTTP, at /mcp), for programs on this machine.

A page in somebody's browser reaches 127.0.0.1, too: requests that name another host, or that come from another origin,
are refused. Beyond this machine it listens only when that is asked for and a token guards it.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError

if TYPE_CHECKING:
    from mcp.server import Server
    from mcp.server.transport_security import TransportSecuritySettings

PATH = "/mcp"
LEAST_TOKEN = 16
GRACE_S = 2
"""For requests that are under way when the server is told to end: a client that waits for a run waits in vain."""
MOST_BODY_BYTES = 4 << 20
"""A script of 1 MiB, escaped, with its args."""

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Any, Send], Awaitable[None]]


def address_of(text: str) -> tuple[str, int]:
    """`[HOST:]PORT`; the host is 127.0.0.1 when none is given. Raises `UsageError` (`bad_flag`)."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not (port.isascii() and port.isdigit() and int(port) < 65536) or any(sign in host for sign in "/@ "):
        raise UsageError(
            f"--http: {text!r} is no address: expected PORT or HOST:PORT",
            code="bad_flag",
            hint="For example: --http 8765",
        )
    return host, int(port)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_in(path: Path) -> str:
    """The token of a file: its text without white space around it. Raises `UsageError` (`bad_token`)."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file: cannot read {path}: {error}", code="bad_token") from None
    if len(token) < LEAST_TOKEN or any(sign.isspace() for sign in token):
        raise UsageError(
            f"--token-file: {path} holds no token: expected {LEAST_TOKEN} characters or more on one line",
            code="bad_token",
            hint="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return token


def refuse_careless(host: str, token: str | None, *, is_remote_allowed: bool) -> None:
    """Raises `UsageError` (`not_local`) for an address that others reach, unless that is meant and guarded."""
    if is_loopback(host) or (is_remote_allowed and token is not None):
        return
    missing = "--token-file FILE" if is_remote_allowed else "--allow-remote and --token-file FILE"
    raise UsageError(
        f"{host} is reached from other machines, and whoever reaches the server starts agents at your cost",
        code="not_local",
        hint=f"Leave the host out, or add {missing}.",
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises `UsageError` (`address`)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen at {host}:{port}: {error.strerror or error}", code="address", hint="Choose another port."
        ) from None
    listener.set_inheritable(False)
    return listener


async def serve_http(server: Server[Any], listener: socket.socket, host: str, token: str | None) -> None:
    """Serves any number of clients until the process is told to end."""
    import uvicorn

    port = listener.getsockname()[1]
    app: Any = server.streamable_http_app(
        streamable_http_path=PATH,
        host=host,
        max_request_body_size=MOST_BODY_BYTES,
        transport_security=_security(host, port),
    )
    guarded = _Guard(app, token, takes_any_host=not _names(host, port))
    # Its log would show tracebacks of requests that are cut off at the end. What went wrong in a tool, its answer says.
    config = uvicorn.Config(
        guarded, log_level="critical", access_log=False, timeout_graceful_shutdown=GRACE_S, lifespan="on"
    )
    await uvicorn.Server(config).serve(sockets=[listener])


def _names(host: str, port: int) -> list[str]:
    """What a request may call this server; empty for an address that stands for all."""
    if host in ("0.0.0.0", "::"):
        return []
    names = {f"[{host}]" if ":" in host else host}
    if is_loopback(host):
        names |= {"127.0.0.1", "localhost", "[::1]"}
    return sorted(f"{name}:{port}" for name in names)


def _security(host: str, port: int) -> TransportSecuritySettings:
    from mcp.server.transport_security import TransportSecuritySettings

    names = _names(host, port)
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=bool(names),
        allowed_hosts=names,
        allowed_origins=[f"http://{name}" for name in names],
    )


class _Guard:
    """Lets through what shows the token. Where any host name is good, no request of a browser is."""

    def __init__(self, app: App, token: str | None, *, takes_any_host: bool) -> None:
        self._app = app
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._takes_any_host = takes_any_host

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            shown = headers.get(b"authorization", b"")
            if self._expected is not None and not hmac.compare_digest(shown, self._expected):
                await _refuse(send, 401, b"This server wants its token: Authorization: Bearer TOKEN\n")
                return
            if self._takes_any_host and b"origin" in headers:
                await _refuse(send, 403, b"This server is not for browsers.\n")
                return
        await self._app(scope, receive, send)


async def _refuse(send: Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
