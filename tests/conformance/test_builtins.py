"""The built-ins that scripts take for granted, on whichever engine is installed (S08, S09, S11).

Expectations come from ECMA-262, the WHATWG standards and, for en-US, from CLDR.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.javascript import JavaScript


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaScript]:
    with JavaScript.quickjs(Path(tmp_path_factory.mktemp("boot"))) as running:
        yield running


def assert_table(engine: JavaScript, table: dict[str, str]) -> None:
    """Each expression and what it must give, all differences at once. `! Kind`: that error, however it is worded."""
    found = {}
    for code, expected in table.items():
        text = engine.evaluate(code)
        found[code] = text.partition(":")[0] if text.startswith("! ") and ":" not in expected else text
    assert found == table


# Object, then method/length. All must be there, hidden from for-in, writable and configurable.
METHODS = {
    "Array.prototype": "at/1 findLast/1 findLastIndex/1 toReversed/0 toSorted/1 toSpliced/2 with/2 flat/0 flatMap/1",
    "Array": "fromAsync/1 from/1 of/0",
    "Object.getPrototypeOf(Int8Array.prototype)": "at/1 findLast/1 findLastIndex/1 toReversed/0 toSorted/1 with/2",
    "Object": "hasOwn/2 groupBy/2 fromEntries/1",
    "Map": "groupBy/2",
    "Map.prototype": "getOrInsert/2 getOrInsertComputed/2",
    "Set.prototype": "union/1 intersection/1 difference/1 symmetricDifference/1 isSubsetOf/1 isSupersetOf/1 isDisjointFrom/1",
    "String.prototype": "at/1 isWellFormed/0 toWellFormed/0 replaceAll/2 matchAll/1 localeCompare/1",
    "RegExp": "escape/1",
    "Error": "isError/1",
    "Iterator": "from/1",
    "Iterator.prototype": "map/1 filter/1 take/1 drop/1 flatMap/1 reduce/1 toArray/0 forEach/1 some/1 every/1 find/1",
    "Number.prototype": "toLocaleString/0",
    "Date.prototype": "toLocaleString/0 toLocaleDateString/0 toLocaleTimeString/0",
    "globalThis": (
        "structuredClone/1 atob/1 btoa/1 URL/1 URLSearchParams/0 TextEncoder/0 TextDecoder/0 AggregateError/2 Error/1 TypeError/1 "
        "Iterator/0"
    ),
}


@pytest.mark.parametrize("owner", METHODS)
def test_S09_methods_look_like_native_ones(engine: JavaScript, owner: str) -> None:
    for method in METHODS[owner].split():
        name, _, length = method.partition("/")
        code = (
            f"((d) => [d.value.name, d.value.length, d.writable, d.enumerable, d.configurable])"
            f"(Object.getOwnPropertyDescriptor({owner}, '{name}'))"
        )
        assert engine.evaluate(code) == f'= ["{name}",{length},true,false,true]', f"{owner}.{name}"


def test_S09_nothing_shows_up_in_for_in(engine: JavaScript) -> None:
    assert_table(
        engine,
        {
            "(() => { const seen = []; for (const key in []) seen.push(key); return seen })()": "= []",
            "(() => { const seen = []; for (const key in 'a') seen.push(key); return seen })()": '= ["0"]',
            "Object.keys(globalThis).filter((key) => !['__render', 'performance'].includes(key))": "= []",
        },
    )


def test_S09_arrays(engine: JavaScript) -> None:
    assert_table(
        engine,
        {
            "[1,2,3].at(-1)": "= 3",
            "[1,2,3].at(-4)": "= undefined",
            "Array.prototype.at.call({length: 2, 0: 'a', 1: 'b'}, -1)": '= "b"',
            "[3,1,,2].toSorted()": "= [1,2,3,undefined]",
            "[1,,3].toReversed()": "= [3,undefined,1]",
            "[1,2,3].toSpliced(1)": "= [1]",
            "[1,2,3].toSpliced()": "= [1,2,3]",
            "[1,2,3].toSpliced(-2, 1, 'x', 'y')": '= [1,"x","y",3]',
            "[1,2].with(-1, 9)": "= [1,9]",
            "[1,2].with(2, 9)": "! RangeError",
            "[2,1].toSorted(null)": "! TypeError",
            "Array.prototype.at.call(null, 0)": "! TypeError",
            "[[1,[2]],[3]].flat(Infinity)": "= [1,2,3]",
            "((a) => { a.toSorted(); a.toReversed(); a.toSpliced(0, 1); a.with(0, 1); return a })([3,1,2])": "= [3,1,2]",
            "[1,2,3,4].findLast((v) => v % 2)": "= 3",
            "[1,2,3,4].findLastIndex((v) => v > 9)": "= -1",
        },
    )


def test_S09_grouping_and_maps(engine: JavaScript) -> None:
    assert_table(
        engine,
        {
            "Object.groupBy([1,2,3], (v, i) => i === 1 ? '__proto__' : 'odd')": '= null-proto{"odd":[1,3],"__proto__":[2]}',
            "Map.groupBy([1,-0,0], (v) => v * 1)": "= Map{1=>[1],0=>[-0,0]}",
            "Object.groupBy([1], null)": "! TypeError",
            "Object.hasOwn({a: 1}, 'a') && !Object.hasOwn({}, 'toString')": "= true",
            "Object.hasOwn(null, 'a')": "! TypeError",
            "((m) => [m.getOrInsert('a', 1), m.getOrInsert('a', 2), m.getOrInsertComputed('b', (k) => k + k), m])(new Map())": (
                '= [1,1,"bb",Map{"a"=>1,"b"=>"bb"}]'
            ),
        },
    )


def test_S09_set_methods(engine: JavaScript) -> None:
    a, b = "new Set([1,2,3])", "new Set([3,4,1])"
    assert_table(
        engine,
        {
            f"{a}.union({b})": "= Set{1,2,3,4}",
            f"{a}.intersection({b})": "= Set{1,3}",
            f"{a}.intersection(new Set([3,1]))": "= Set{3,1}",  # the smaller one gives the order
            f"{a}.difference({b})": "= Set{2}",
            f"{a}.difference(new Set([1]))": "= Set{2,3}",
            f"{a}.symmetricDifference({b})": "= Set{2,4}",
            "new Set([1,3]).isSubsetOf(new Map([[1],[2],[3]]))": "= true",
            f"{a}.isSubsetOf({b})": "= false",
            f"{a}.isSupersetOf(new Set([1]))": "= true",
            f"{a}.isSupersetOf({b})": "= false",
            f"{a}.isDisjointFrom(new Set([9]))": "= true",
            f"{a}.isDisjointFrom({b})": "= false",
            f"{a}.union([1])": "! TypeError",
            f"{a}.union({{size: -1, has() {{}}, keys() {{}}}})": "! RangeError",
            f"Set.prototype.union.call([], {a})": "! TypeError",
        },
    )


def test_S09_iterator_helpers(engine: JavaScript) -> None:
    closing = "((log, make) => [make({next: () => ({value: 1}), return: () => (log.push('closed'), {}), __proto__: Iterator.prototype}), log])"
    assert_table(
        engine,
        {
            "[1,2,3].values().map((v, i) => v * i).filter((v) => v).toArray()": "= [2,6]",
            "new Map([['a',1]]).keys().flatMap((k) => [k, k]).toArray()": '= ["a","a"]',
            "[1,2,3,4].values().drop(1).take(2).toArray()": "= [2,3]",
            "[1,2].values().reduce((a, b) => a + b)": "= 3",
            "[].values().reduce((a, b) => a + b)": "! TypeError",
            "[1,2].values().take(-1)": "! RangeError",
            "[[1,2].values().some((v) => v > 1), [1].values().every((v) => v > 1), [4,5].values().find((v) => v > 4)]": (
                "= [true,false,5]"
            ),
            f"{closing}([], (i) => i.take(2).toArray())": '= [[1,1],["closed"]]',
            f"{closing}([], (i) => i.find((v) => v))": '= [1,["closed"]]',
            f"{closing}([], (i) => i.map((v) => v).return())": '= [{"value":undefined,"done":true},["closed"]]',
            "Iterator.from({next: () => ({done: true})}).toArray()": "= []",
            "new Iterator()": "! TypeError",
        },
    )


def test_S09_strings_and_base64(engine: JavaScript) -> None:
    assert_table(
        engine,
        {
            "'abc'.at(-1) + 'abc'.at(0)": '= "ca"',
            "'a.b.c'.replaceAll('.', '$&$&')": '= "a..b..c"',
            r"['\ud800a'.isWellFormed(), '\ud83d\ude00'.isWellFormed()]": "= [false,true]",
            r"'\ude00a\ud83d'.toWellFormed() === '\ufffda\ufffd'": "= true",
            "btoa('hello') + atob(' aGVs bG8 ')": '= "aGVsbG8=hello"',
            "btoa('\u20ac')": "! InvalidCharacterError",
            "atob('a')": "! InvalidCharacterError",
            "RegExp.escape('a.b-c d')": r'= "\\x61\\.b\\x2dc\\x20d"',
            "new RegExp(RegExp.escape('1+1=[2]')).test('1+1=[2]')": "= true",
        },
    )


KINDS = ["Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"]


@pytest.mark.parametrize("kind", KINDS)
def test_S09_errors_have_a_cause(engine: JavaScript, kind: str) -> None:
    assert_table(
        engine,
        {
            f"new {kind}('m', {{cause: 7}})": f'= {kind}("m",cause=7)',
            f"{kind}('m', {{cause: undefined}})": f'= {kind}("m",cause=undefined)',
            f"new {kind}('m', {{}})": f'= {kind}("m")',
            f"Object.keys(new {kind}('m', {{cause: 7}}))": "= []",
            f"((e) => [e instanceof {kind}, e instanceof Error, e.constructor === {kind}, e.name, '' + e])(new {kind}('m'))": (
                f'= [true,true,true,"{kind}","{kind}: m"]'
            ),
            f"'message' in Object.getOwnPropertyDescriptors(new {kind}())": "= false",
            f"((E) => ((e) => [e, e instanceof E, e instanceof {kind}, e.extra])(new E('m', {{cause: 1}})))"
            f"(class Mine extends {kind} {{ extra = 2; constructor(m, o) {{ super(m, o); this.name = 'Mine' }} }})": (
                '= [Mine("m",cause=1),true,true,2]'
            ),
        },
    )


def test_S09_error_family(engine: JavaScript) -> None:
    assert_table(
        engine,
        {
            "((e) => [e, e.errors, e instanceof AggregateError])(new AggregateError([1], 'm', {cause: 2}))": (
                '= [AggregateError("m",cause=2),[1],true]'
            ),
            "(() => { try { null.x } catch (e) { return [e instanceof TypeError, e.constructor === TypeError] } })()": "= [true,true]",
            "[Object.getPrototypeOf(TypeError) === Error, Object.getPrototypeOf(RangeError.prototype) === Error.prototype]": (
                "= [true,true]"
            ),
            "[Error.isError(new TypeError('x')), Error.isError({name: 'Error'})]": "= [true,false]",
            "((e) => [e.name, e.code, e.message, e instanceof Error])(new DOMException('m', 'AbortError'))": (
                '= ["AbortError",20,"m",true]'
            ),
            "((o) => { Error.captureStackTrace(o); return typeof o.stack })({})": '= "string"',
        },
    )


def test_S06_a_stack_begins_where_the_error_was_made(engine: JavaScript) -> None:
    first = "(() => { function here() { return %s } return here().stack.trim().split('\\n')[0].trim().split(' ').slice(0, 2) })()"
    assert_table(
        engine,
        {first % f"new {kind}('m', {{cause: 1}})": '= ["at","here"]' for kind in KINDS}
        | {first % "new AggregateError([], 'm')": '= ["at","here"]'},
    )


def test_S09_structured_clone(engine: JavaScript) -> None:
    assert_table(
        engine,
        {
            "structuredClone({a: [1,,-0], d: new Date(3), u: undefined, b: 10n})": (
                '= {"a":[1,hole,-0],"d":Date(3),"u":undefined,"b":10n}'
            ),
            "((o) => { o.self = o; const c = structuredClone(o); return c.self === c && c !== o })({})": "= true",
            "structuredClone(new Map([[{a: 1}, new Set([NaN])]]))": '= Map{{"a":1}=>Set{NaN}}',
            "((r) => { r.lastIndex = 5; return structuredClone(r) })(/a/giy)": "= RegExp(/a/giy,0)",
            "((b) => { const [x, y] = structuredClone([new Uint8Array(b, 1), new Int16Array(b)]); return [x, x.buffer === y.buffer] })"
            "(new ArrayBuffer(4))": "= [Uint8Array(0,0,0),true]",
            "structuredClone(new TypeError('m', {cause: {a: 1}}))": '= TypeError("m",cause={"a":1})',
            "structuredClone(JSON.parse('{\"__proto__\": 1}'))": '= {"__proto__":1}',
            "Object.getPrototypeOf(structuredClone(new (class A {})())) === Object.prototype": "= true",
            "structuredClone({f() {}})": "! DataCloneError",
            "structuredClone([Symbol('x')])": "! DataCloneError",
            "structuredClone(new WeakMap())": "! DataCloneError",
            "structuredClone()": "! TypeError",
        },
    )


def test_S09_text_encoding(engine: JavaScript) -> None:
    assert_table(
        engine,
        {
            "new TextEncoder().encode('h\\u00e9\\u20ac\\ud83d\\ude00\\ud800')": (
                "= Uint8Array(104,195,169,226,130,172,240,159,152,128,239,191,189)"
            ),
            "new TextDecoder().decode(new Uint8Array([0xef,0xbb,0xbf,0x61]))": '= "a"',
            "new TextDecoder('UTF8', {fatal: true}).decode(new Uint8Array([0xc0,0x80]))": "! TypeError: The bytes are not valid UTF-8",
            "new TextDecoder('latin1')": '! RangeError: TextDecoder knows utf-8 only, not "latin1"',
            "((d) => d.decode(new Uint8Array([0xe2,0x82]), {stream: true}) + d.decode(new Uint8Array([0xac])))(new TextDecoder())": '= "€"',
        },
    )


def test_S11_one_locale(engine: JavaScript) -> None:
    date = "new Date(Date.UTC(2024, 0, 5, 13, 4, 9))"
    assert_table(
        engine,
        {
            "(1234567).toLocaleString()": '= "1,234,567"',
            "(1234.5678).toLocaleString('de-DE')": '= "1,234.568"',
            "(-1234.5).toLocaleString('en-US', {style: 'currency', currency: 'USD'})": '= "-$1,234.50"',
            "12345678901234567890n.toLocaleString()": '= "12,345,678,901,234,567,890"',
            "[1234.5, 'a'].toLocaleString()": '= "1,234.5,a"',
            f"{date}.toLocaleString()": '= "1/5/2024, 1:04:09 PM"',
            f"{date}.toLocaleDateString()": '= "1/5/2024"',
            f"{date}.toLocaleTimeString()": '= "1:04:09 PM"',
            f"{date}.toLocaleDateString('en-US', {{dateStyle: 'full'}})": '= "Friday, January 5, 2024"',
            f"{date}.toLocaleTimeString([], {{hour: '2-digit', minute: '2-digit', hour12: false}})": '= "13:04"',
            f"{date}.toLocaleString('en-US', {{timeZone: 'Europe/Berlin'}})": (
                '! RangeError: The time zone "Europe/Berlin" is not available: workflows have one, UTC'
            ),
            "new Date(NaN).toLocaleString()": '= "Invalid Date"',
            "['b','a','C','A','\u00e9','z'].sort((x, y) => x.localeCompare(y))": '= ["a","A","b","C","é","z"]',
            "'a10'.localeCompare('a9', undefined, {numeric: true})": "= 1",
            "'a'.localeCompare('A', undefined, {sensitivity: 'base'})": "= 0",
            "new Intl.NumberFormat('en-US').format(1e6)": '= "1,000,000"',
            "new Intl.DateTimeFormat().resolvedOptions().timeZone": '= "UTC"',
            "['b','a'].sort(new Intl.Collator().compare)": '= ["a","b"]',
        },
    )


def test_S09_from_async(engine: JavaScript) -> None:
    assert engine.evaluate("Array.fromAsync([1, Promise.resolve(2)], async (v, i) => v + i)", wait=True) == "= [1,3]"
    assert engine.evaluate("Array.fromAsync((async function* () { yield 1; yield 2 })())", wait=True) == "= [1,2]"
    assert engine.evaluate("Array.fromAsync({length: 2, 0: Promise.resolve('a')})", wait=True) == '= ["a",undefined]'
    assert engine.evaluate("Array.fromAsync(null)", wait=True).startswith("! TypeError")


PATCHED = """(() => {
  const evil = () => { throw new Error("patched") };
  for (const target of [Map.prototype, Set.prototype, WeakMap.prototype, RegExp.prototype, Date.prototype, Number.prototype,
      Object.getPrototypeOf(Int8Array).prototype, ArrayBuffer.prototype, Function.prototype]) {
    for (const name of Object.getOwnPropertyNames(target)) {
      const { value, writable } = Object.getOwnPropertyDescriptor(target, name);
      if (typeof value === "function" && writable && name !== "constructor" && !KEPT.includes(name)) target[name] = evil;
    }
  }
  for (const name of ["charCodeAt", "codePointAt", "slice", "indexOf", "includes", "replace", "split", "normalize", "toLowerCase",
    "repeat"]) String.prototype[name] = evil;
  for (const name of ["sort", "slice", "push", "map", "filter", "forEach", "concat"]) Array.prototype[name] = evil;
  for (const name of ["apply", "construct", "ownKeys"]) Reflect[name] = evil;
  for (const name of ["keys", "create", "defineProperty", "getPrototypeOf"]) Object[name] = evil;
  globalThis.encodeURIComponent = globalThis.parseInt = globalThis.TextDecoder = globalThis.Map = globalThis.Uint8Array = evil;
  return RESULT;
})()"""


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("[3,1,2].toSorted().join()", '= "1,2,3"'),
        ("[1,2,3].toSpliced(1, 1).join()", '= "1,3"'),
        ("new URL('http://h/%41?\u00e9=1#x').href", '= "http://h/%41?%C3%A9=1#x"'),
        ("`${new URLSearchParams('a=%20b')}`", '= "a=+b"'),
        ("structuredClone({a: [1, {b: 2}]}).a[1].b", "= 2"),
        ("(1234.5).toLocaleString()", '= "1,234.5"'),
        ("new Error('m', {cause: 1}).cause", "= 1"),
        ("'b'.localeCompare('a')", "= 1"),
        ("btoa('hi') + atob('aGk=')", '= "aGk=hi"'),
    ],
)
def test_S08_builtins_stand_on_captured_ones(engine: JavaScript, result: str, expected: str) -> None:
    """A script that patches what it finds changes its own values, not what the library's built-ins do."""
    # The test's own rendering needs these.
    code = PATCHED.replace("RESULT", result).replace(
        "KEPT", "['toString', 'valueOf', 'toLocaleString', 'exec', 'flags', 'call', 'apply', 'bind']"
    )
    assert engine.evaluate(f"((text) => text)({code})", fresh=True) == expected


def test_S08_the_library_leaves_nothing_behind(engine: JavaScript) -> None:
    assert engine.evaluate("typeof __pawl") == '= "undefined"'
