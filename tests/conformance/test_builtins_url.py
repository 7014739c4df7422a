"""URL and URLSearchParams by table, after the web platform tests (`url/resources`) and the text of the standard (S09)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.javascript import JavaScript


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaScript]:
    with JavaScript.quickjs(tmp_path_factory.mktemp("boot")) as running:
        yield running


PARSED = [
    # address, base, href
    ("http://example\t.\norg", None, "http://example.org/"),
    ("http://user:pass@foo:21/bar;par?b#c", None, "http://user:pass@foo:21/bar;par?b#c"),
    ("https://test:@test", None, "https://test@test/"),
    ("http:foo.com", "http://example.org/foo/bar", "http://example.org/foo/foo.com"),
    ("\t   :foo.com   \n", "http://example.org/foo/bar", "http://example.org/foo/:foo.com"),
    ("http://f:00000000000000000000080/c", None, "http://f/c"),
    ("?", "http://example.org/foo/bar", "http://example.org/foo/bar?"),
    ("\\x", "http://example.org/foo/bar", "http://example.org/x"),
    ("http://a:b@c:29/d", None, "http://a:b@c:29/d"),
    ("//foo/bar", "http://example.org/foo/bar", "http://foo/bar"),
    ("http://[1::2]:3:4", None, None),
    ("http://[::127.0.0.1]", None, "http://[::7f00:1]/"),
    ("http://[2001::1.2.3]", None, None),
    ("http://192.0x00A80001", None, "http://192.168.0.1/"),
    ("http://www/foo%2Ehtml", None, "http://www/foo%2Ehtml"),
    ("http://%25DOMAIN:foobar@foodomain.com/", None, "http://%25DOMAIN:foobar@foodomain.com/"),
    ("http://www.google.com:80/foo?#", None, "http://www.google.com/foo?#"),
    ("http://example.com////../..", None, "http://example.com//"),
    ("http://example.com/foo/%2e%2", None, "http://example.com/foo/%2e%2"),
    ("http://example.com/foo/%2e./%2e%2e/.%2e/%2e.bar", None, "http://example.com/%2e.bar"),
    ("http://example.com/^", None, "http://example.com/%5E"),
    ("http://example.com/\ud83d\ude00?q=\u00e9", None, "http://example.com/%F0%9F%98%80?q=%C3%A9"),
    ("http://EXAMPLE.com/A", None, "http://example.com/A"),
    ("http://256.256.256.256", None, None),
    ("http://1.2.3.08", None, None),
    ("http://a b", None, None),
    ("http://:80", None, None),
    ("http://h:65536", None, None),
    ("http://xn--bcher-kva.example/", None, "http://xn--bcher-kva.example/"),
    ("file:c:\\foo\\bar", "file:///tmp/mock/path", "file:///c:/foo/bar"),
    ("  File:c|////foo\\bar.html", "file:///tmp/mock/path", "file:///c:////foo/bar.html"),
    ("file://localhost/test", None, "file:///test"),
    ("..", "file:///C:/x", "file:///C:/"),
    ("javascript:example.com/", None, "javascript:example.com/"),
    ("data:text/plain,a b#c d", None, "data:text/plain,a b#c%20d"),
    ("#i", "mailto:x", "mailto:x#i"),
    ("i", "mailto:x", None),
    ("non-special://H%00/", None, "non-special://H%00/"),
    ("web+demo:/.//not-a-host/", None, "web+demo:/.//not-a-host/"),
    ("/i", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("address", "base", "href"), PARSED)
def test_S09_urls_parse_as_the_standard_says(
    engine: JavaScript, address: str, base: str | None, href: str | None
) -> None:
    arguments = json.dumps(address) + ("" if base is None else "," + json.dumps(base))
    can_parse = engine.evaluate(f"URL.canParse({arguments})")
    if href is None:
        assert engine.evaluate(f"new URL({arguments})").startswith("! TypeError: Invalid URL: ")
        assert can_parse == "= false"
    else:
        assert engine.evaluate(f"new URL({arguments}).href") == f"= {json.dumps(href)}"
        assert engine.evaluate(f"new URL({json.dumps(href)}).href") == f"= {json.dumps(href)}", (
            "parsing again changes it"
        )
        assert can_parse == "= true"


CHANGED = [
    # href, member, value, href afterwards
    ("http://h/", "protocol", "https", "https://h/"),
    ("http://h/", "protocol", "mailto", "http://h/"),
    ("https://h:443/", "port", "80", "https://h:80/"),
    ("http://h:81/", "port", "", "http://h/"),
    ("http://h/", "port", "8080abc", "http://h:8080/"),
    ("http://h/", "port", "65536", "http://h/"),
    ("http://h:1/", "host", "x.y:2", "http://x.y:2/"),
    ("http://h:1/", "hostname", "x.y:2", "http://h:1/"),
    ("http://h/", "hostname", "", "http://h/"),
    ("mailto:a", "host", "x", "mailto:a"),
    ("http://h/a", "pathname", "b c?#", "http://h/b%20c%3F%23"),
    ("http://h/?a", "search", "", "http://h/"),
    ("http://h/", "search", "a b#", "http://h/?a%20b%23"),
    ("http://h/#a", "hash", "b c", "http://h/#b%20c"),
    ("http://h/", "username", "a@b", "http://a%40b@h/"),
    ("file:///a", "username", "x", "file:///a"),
]


@pytest.mark.parametrize(("before", "member", "value", "after"), CHANGED)
def test_S09_url_members_can_be_set(engine: JavaScript, before: str, member: str, value: str, after: str) -> None:
    code = f"((u) => {{ u.{member} = {json.dumps(value)}; return u.href }})(new URL({json.dumps(before)}))"
    assert engine.evaluate(code) == f"= {json.dumps(after)}"


TABLE = {
    "new URL('http://b\\u00fccher.example/')": '! TypeError: Invalid URL: "http://bücher.example/": the host "bücher.example" has letters beyond ASCII, which are not supported here: write its xn-- form',
    "new URL('x')": '! TypeError: Invalid URL: "x": it has no scheme, and no base is given',
    "JSON.stringify({u: new URL('http://h')})": r'= "{\"u\":\"http://h/\"}"',
    "['http://h:1/', 'file:///x', 'blob:https://h/x', 'x:y'].map((u) => new URL(u).origin)": '= ["http://h:1","null","https://h","null"]',
    "((u) => { u.searchParams.append('b', '1 2'); return u.href })(new URL('http://h/?a=%20'))": '= "http://h/?a=+&b=1+2"',
    "((u) => { u.searchParams.delete('a'); return u.href })(new URL('http://h/?a=1'))": '= "http://h/"',
    "((u) => { u.search = '?z=1'; return u.searchParams.get('z') })(new URL('http://h/?a=1'))": '= "1"',
    "((u) => u.searchParams === u.searchParams)(new URL('http://h/'))": "= true",
    "`${new URLSearchParams({a: 1, b: 'x&y'})}`": '= "a=1&b=x%26y"',
    "[...new URLSearchParams('?a=1&b&=c&&a=%zz')]": '= [["a","1"],["b",""],["","c"],["a","%zz"]]',
    "((p) => [p.getAll('a'), p.has('a', '2'), p.has('a', '9'), p.size])(new URLSearchParams('a=1&a=2'))": '= [["1","2"],true,false,2]',
    "((p) => { p.set('a', 9); p.delete('b', 'x'); return `${p}` })(new URLSearchParams('a=1&b=x&a=2&b=y'))": '= "a=9&b=y"',
    "((p) => { p.sort(); return `${p}` })(new URLSearchParams('z=1&a=2&z=0&a=1'))": '= "a=2&a=1&z=1&z=0"',
    "new URLSearchParams([['a']])": "! TypeError: URLSearchParams needs pairs of a name and a value",
}


@pytest.mark.parametrize("code", TABLE)
def test_S09_url_and_its_parameters(engine: JavaScript, code: str) -> None:
    assert engine.evaluate(code) == TABLE[code]
