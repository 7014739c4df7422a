"""fetch_url: a page or a file of the web, as text.

Names are resolved here and the connection goes to an address that was looked at, so that a name cannot mean a public
host when it is checked and this machine's network when it is used. Private addresses are for URLs that a permission
rule has in mind. Each redirect is looked at like a first request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.markup import text_of_html
from engine.agents.tools.tool import Args, Setting, ToolSpec, parameters
from engine.threads import in_thread

if TYPE_CHECKING:
    import httpx

TIME_S = 60.0
"""For all of it, redirects too."""
MOST_BYTES = 5 << 20
_REDIRECTS = 5
_TEXTS = ("text/", "/json", "/xml", "/javascript", "yaml", "+json", "+xml")


class FetchUrl:
    """See the module."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        "fetch_url",
        "Gets a page or text file by http or https; HTML comes as plain text.",
        parameters(("url",), url={"type": "string", "minLength": 1}),
        is_read_only=True,
    )

    def argument(self, args: Args, setting: Setting) -> str:
        return urlunsplit(_parsed(args["url"]))

    async def run(self, args: Args, setting: Setting, admitted: str) -> str:
        try:
            async with asyncio.timeout(TIME_S):
                return await _fetched(admitted, setting)
        except TimeoutError:
            raise ToolFailed(f"{admitted}: no whole answer within {TIME_S:g} s.") from None


def _parsed(url: str) -> SplitResult:
    try:
        found = urlsplit(url.strip())
        host, port = found.hostname, found.port
    except ValueError as error:
        raise ToolFailed(f"url: expected http:// or https://, found {url!r}: {error}.") from None
    if found.scheme not in ("http", "https") or not host:
        raise ToolFailed(f"url: expected http:// or https:// and a host, found {url!r}.")
    if found.username is not None or found.password is not None:
        raise ToolFailed("url: expected one without a user name or password.")
    host = f"[{host}]" if ":" in host else host.lower()
    authority = host if port is None or (found.scheme, port) in (("http", 80), ("https", 443)) else f"{host}:{port}"
    return SplitResult(found.scheme, authority, found.path or "/", found.query, "")


async def _fetched(url: str, setting: Setting) -> str:
    import httpx

    for _ in range(_REDIRECTS + 1):
        try:
            next_url, text = await _one(url, setting)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ToolFailed(f"{url}: {str(error) or type(error).__name__}.") from None
        if next_url is None:
            return text
        url = urlunsplit(_parsed(next_url))
        refusal = await setting.gate.admit("fetch_url", url)
        if refusal is not None:
            raise ToolFailed(f"It redirects. {refusal}")
    raise ToolFailed(f"{url}: more than {_REDIRECTS} redirects.")


async def _one(url: str, setting: Setting) -> tuple[str | None, str]:
    """One request: where it redirects to, or None and the text."""
    import httpx

    found = urlsplit(url)
    proxy = _proxy(found, setting)
    address = await _address(found, setting, url, is_proxied=proxy is not None)
    headers = {"Host": found.netloc, "User-Agent": "pawl", "Accept": "text/html, text/*, application/json, */*;q=0.1"}
    # trust_env: what else the environment says (netrc, certificates' paths) is not a model's business.
    async with httpx.AsyncClient(trust_env=False, proxy=proxy, timeout=TIME_S) as client:
        target = url
        if address is not None:
            shown = f"[{address}]" if ":" in address else address
            target = urlunsplit(found._replace(netloc=shown if found.port is None else f"{shown}:{found.port}"))
        request = client.build_request("GET", target, headers=headers, extensions={"sni_hostname": found.hostname})
        response = await client.send(request, stream=True)
        try:
            if response.has_redirect_location:
                return urljoin(url, response.headers["location"]), ""
            return None, await _text(response, url)
        finally:
            await response.aclose()


async def _text(response: httpx.Response, url: str) -> str:
    kind = response.headers.get("content-type", "text/plain").lower()
    if not any(part in kind for part in _TEXTS):
        raise ToolFailed(f"{url} is {kind.partition(';')[0]}, not text.")
    data = bytearray()
    async for piece in response.aiter_bytes(1 << 16):
        data += piece
        if len(data) > MOST_BYTES:
            raise ToolFailed(f"{url} has more than {MOST_BYTES >> 20} MiB.")
    try:
        text = bytes(data).decode(response.charset_encoding or "utf-8", "replace")
    except LookupError:
        text = bytes(data).decode("utf-8", "replace")
    if "html" in kind:
        text = await in_thread(text_of_html, text)
    if response.is_error:
        raise ToolFailed(f"{url}: HTTP status {response.status_code}.\n{text[:2000]}".rstrip())
    return text.strip() or f"[{url} is empty]"


def _proxy(found: SplitResult, setting: Setting) -> str | None:
    import urllib.request

    proxies = {
        scheme: setting.environ.get(f"{scheme}_proxy") or setting.environ.get(f"{scheme}_proxy".upper())
        for scheme in ("http", "https")
    }
    excluded = setting.environ.get("no_proxy") or setting.environ.get("NO_PROXY") or ""
    if urllib.request.proxy_bypass_environment(found.netloc, {"no": excluded}):  # type: ignore[attr-defined]
        return None
    return proxies.get(found.scheme)


async def _address(found: SplitResult, setting: Setting, url: str, *, is_proxied: bool) -> str | None:
    """An address of the host that may be used; None leaves finding one to the proxy."""
    host = found.hostname or ""
    port = found.port or (443 if found.scheme == "https" else 80)
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if is_proxied and not _is_private(host):
            return None
        raise ToolFailed(f"{url}: the host {host} is not known: {getattr(error, 'strerror', None) or error}.") from None
    addresses = [str(info[4][0]) for info in infos]
    private = [address for address in addresses if _is_private(address)]
    if private and not setting.gate.policy.names("fetch_url", url):
        raise ToolFailed(
            f"{url} leads to {private[0]}, an address of this machine or its network. "
            "That needs a permission rule with this address in its pattern."
        )
    return None if is_proxied else addresses[0]


def _is_private(address: str) -> bool:
    """Whether it is not an address of the public internet; also when it holds one in another form."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address.lower().rstrip(".").endswith(("localhost", ".local", ".internal"))
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return _is_private(str(inner))
    return not found.is_global or found.is_multicast
