"""fetch_url against a server of our own: texts, redirects, sizes, and addresses that are nobody's business."""

from __future__ import annotations

import http.server
import threading

import pytest
from support.toolboxes import opened

from engine.agents.tools import fetch_url
from engine.agents.tools.markup import text_of_html

PAGES = {
    "/page": ("text/html", b"<html><head><title>T</title><style>x{}</style></head><body><h1>Head</h1><p>a\n  b</p>"
              b"<script>evil()</script><ul><li>one</li><li>two &amp; three</li></ul><pre>x\n  y</pre></body></html>"),
    "/plain": ("text/plain; charset=latin-1", b"caf\xe9"),
    "/json": ("application/json", b'{"a": 1}'),
    "/image": ("image/png", b"\x89PNG"),
    "/huge": ("text/plain", b"x" * (6 << 20)),
    "/empty": ("text/plain", b""),
}  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        kind, body = PAGES.get(self.path, ("text/plain", b"nothing here"))
        self.send_response(200 if self.path in PAGES else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def got(tmp_path, url, allow, **options):
    async with opened(tmp_path, allow=allow, **options) as box:
        result = await box.run("fetch_url", {"url": url})
        return result.text, result.ok


async def test_pages_come_as_text(tmp_path, site):
    rule = [f"fetch_url({site}/*)"]
    assert await got(tmp_path, f"{site}/page", rule) == ("T\n\n# Head\n\na b\n\n- one\n\n- two & three\n\nx\n  y", True)
    assert await got(tmp_path, f"{site}/plain#part", rule) == ("café", True)
    assert await got(tmp_path, f"{site}/json", rule) == ('{"a": 1}', True)
    assert await got(tmp_path, f"{site}/empty", rule) == (f"[{site}/empty is empty]", True)
    assert await got(tmp_path, f"{site}/image", rule) == (f"{site}/image is image/png, not text.", False)
    assert await got(tmp_path, f"{site}/huge", rule) == (f"{site}/huge has more than 5 MiB.", False)
    assert await got(tmp_path, f"{site}/none", rule) == (f"{site}/none: HTTP status 404.\nnothing here", False)


async def test_private_addresses_need_a_rule_that_names_them(tmp_path, site):
    refusal = (
        f"{site}/plain leads to 127.0.0.1, an address of this machine or its network. "
        "That needs a permission rule with this address in its pattern."
    )
    assert await got(tmp_path, f"{site}/plain", ["fetch_url"]) == (refusal, False)
    assert await got(tmp_path, f"{site}/plain", ["fetch_url(*)"]) == (refusal, False)
    assert await got(tmp_path, f"{site}/plain", [f"fetch_url({site}/pl*)"]) == ("café", True)


async def test_redirects_are_looked_at(tmp_path, site):
    rule = [f"fetch_url({site}/*)"]
    assert await got(tmp_path, f"{site}/to?/plain", rule) == ("café", True)
    text, ok = await got(tmp_path, f"{site}/to?http://localhost:1/secret", rule)
    assert not ok and text.startswith("It redirects. fetch_url(http://localhost:1/secret) needs a person's permission")
    text, ok = await got(tmp_path, f"{site}/to?http://169.254.169.254/latest", [*rule, "fetch_url"])
    assert (text, ok) == (
        "http://169.254.169.254/latest leads to 169.254.169.254, an address of this machine or its network. "
        "That needs a permission rule with this address in its pattern.",
        False,
    )
    text, ok = await got(tmp_path, f"{site}/to?file:///etc/passwd", rule)
    assert (text, ok) == ("url: expected http:// or https:// and a host, found 'file:///etc/passwd'.", False)
    loop = f"{site}/to?/to"  # /to leads nowhere: 404 at the end, not a circle
    assert (await got(tmp_path, loop, rule))[0] == f"{site}/to: HTTP status 404.\nnothing here"


@pytest.mark.parametrize(
    "url",
    ["http://0x7f.1/", "http://2130706433/", "http://127.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://10.0.0.1/",
     "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://0.0.0.0/", "http://[fe80::1]/", "http://224.0.0.1/",
     "http://100.64.0.1/", "http://[fd00::1]/", "http://localhost/", "http://192.168.1.1/"],
)  # fmt: skip
async def test_private_addresses_in_every_form(tmp_path, url):
    text, ok = await got(tmp_path, url, ["fetch_url"])
    assert not ok
    assert "an address of this machine or its network" in text


async def test_what_is_no_address_of_the_web(tmp_path):
    for url, message in {
        "ftp://example.com/": "url: expected http:// or https:// and a host, found 'ftp://example.com/'.",
        "https://user:pw@example.com/": "url: expected one without a user name or password.",
        "http://a b": "http://a b/: the host a b is not known: Name or service not known.",
        "http://[::1": "url: expected http:// or https://, found 'http://[::1': Invalid IPv6 URL.",
    }.items():
        assert await got(tmp_path, url, ["fetch_url"]) == (message, False), url


async def test_a_site_that_does_not_answer_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_url, "TIME_S", 0.3)
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        text, ok = await got(tmp_path, url, [f"fetch_url({url})"])
    assert not ok
    assert text in (f"{url}: no whole answer within 0.3 s.", f"{url}: ReadTimeout.")


def test_broken_markup_is_read_as_far_as_it_goes():
    assert text_of_html("<p>a</div></p></script><b>b<i></b> c") == "a\n\nb c"
    assert text_of_html("<script>never closed") == ""
    assert len(text_of_html("<div>" * 100_000 + "x")) == 1
