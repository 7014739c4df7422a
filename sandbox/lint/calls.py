"""Calls of the primitives that cannot do what was meant: options nobody knows, promises where functions belong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.lint.finding import Finding
from sandbox.lint.meta import first_line_end
from sandbox.lint.nodes import arguments, bare, field
from sandbox.lint.syntax import Syntax
from sandbox.lint.words import AGENT_OPTIONS, EFFORTS, JOIN_OPTIONS, MORE_AGENT_OPTIONS, PROMISING, near

if TYPE_CHECKING:
    from tree_sitter import Node

_FUNCTION_KINDS = frozenset({"arrow_function", "function_expression", "generator_function"})
_NEVER_TEXT = frozenset({"object", "array", "number", "true", "false", "null", "undefined", "regex", *_FUNCTION_KINDS})
_NEVER_LIST = frozenset(
    {"object", "number", "string", "template_string", "true", "false", "null", "undefined", *_FUNCTION_KINDS}
)

_STARTED = "a promise has started before {}() can limit or cancel it"


def find_bad_calls(syntax: Syntax) -> Iterator[Finding]:
    for call in syntax.calls("agent"):
        yield from _agent(syntax, call)
    for name in ("parallel", "race"):
        for call in syntax.calls(name):
            yield from _parallel(syntax, call, name)
    for call in syntax.calls("pipeline"):
        yield from _pipeline(syntax, call)


def options_of(call: Node, position: int) -> Node | None:
    """The object literal at this place of the arguments, if there is one."""
    given = arguments(call)
    if len(given) <= position:
        return None
    node = bare(given[position])
    return node if node.type == "object" else None


def members(syntax: Syntax, node: Node) -> Iterator[tuple[str, Node, Node | None]]:
    """(name, key, value) of the members of an object literal that have a plain name; a shorthand has no value."""
    for child in node.named_children:
        if child.type == "pair":
            key = field(child, "key")
            if key is not None and key.type in ("property_identifier", "string"):
                yield syntax.text_of(key).strip("'\""), key, field(child, "value")
        elif child.type == "shorthand_property_identifier":
            yield syntax.text_of(child), child, None
        elif child.type == "method_definition":
            key = field(child, "name")
            if key is not None:
                yield syntax.text_of(key), key, None


def _agent(syntax: Syntax, call: Node) -> Iterator[Finding]:
    given = arguments(call)
    if not given:
        if field(call, "arguments") is not None:
            yield _warn(syntax, call, ("agent_prompt", "S20"), "agent() needs a prompt.", "Write: await agent('…')")
        return
    prompt = bare(given[0])
    text = syntax.text_of(prompt)
    if prompt.type == "object":
        yield _warn(
            syntax, prompt, ("agent_prompt", "S20"),
            "agent() takes the prompt as its first argument, a string, and the options as its second.",
            "Write: await agent(prompt, { label: '…' })",
        )  # fmt: skip
    elif prompt.type in _NEVER_TEXT or text in ("''", '""', "``"):
        yield _warn(
            syntax, prompt, ("agent_prompt", "S20"),
            f"The prompt of agent() must be a non-empty string; this is {_short(text)}.", "Write: await agent('…')",
        )  # fmt: skip
    options = options_of(call, 1)
    for name, key, value in members(syntax, options) if options is not None else ():
        if name not in AGENT_OPTIONS and name not in MORE_AGENT_OPTIONS:
            known = (*AGENT_OPTIONS, *MORE_AGENT_OPTIONS)
            yield _warn(
                syntax, key, ("unknown_option", "S25"),
                f"agent() has no option `{_short(name)}`; it is ignored.{near(name, known)}",
                f"Known options: {', '.join(known)}.",
            )  # fmt: skip
        elif name == "effort":
            yield from _one_of(syntax, value, name, EFFORTS, "S25")
        elif name == "isolation":
            yield from _one_of(syntax, value, name, ("worktree",), "S25")
        elif name == "cache":
            yield from _one_of(syntax, value, name, ("reuse", "rerun"), "S26")


def _one_of(syntax: Syntax, value: Node | None, name: str, allowed: tuple[str, ...], rule: str) -> Iterator[Finding]:
    if value is None or value.type != "string":
        return
    text = syntax.text_of(value)[1:-1]
    if text not in allowed:
        yield _warn(
            syntax, value, ("bad_option", rule),
            f"`{name}` must be {' or '.join(repr(word) for word in allowed)}; agent() will throw.{near(text, allowed)}",
            f"Write: {name}: '{allowed[0]}'",
        )  # fmt: skip


def _parallel(syntax: Syntax, call: Node, name: str) -> Iterator[Finding]:
    given = arguments(call)
    if not given:
        return
    first = bare(given[0])
    if first.type in _NEVER_LIST or _promise_name(syntax, first):
        yield _warn(
            syntax, first, ("not_an_array", "S32"),
            f"{name}() takes one array of functions.", f"Write: await {name}([() => agent('…'), () => agent('…')])",
        )  # fmt: skip
        return
    if first.type == "array":
        for element in first.named_children:
            yield from _promise_for_function(syntax, bare(element), name)
    elif first.type == "call_expression":
        yield from _mapped_promises(syntax, first, name)
    if name == "parallel":
        yield from _join_options(syntax, options_of(call, 1), name)


def _promise_for_function(syntax: Syntax, element: Node, name: str) -> Iterator[Finding]:
    node = element
    if node.type == "await_expression" and node.named_child_count:
        node = bare(node.named_children[-1])
    if _promise_name(syntax, node) is not None:
        is_awaited = element.type == "await_expression"
        what = "an awaited call ends before the next one starts" if is_awaited else _STARTED.format(name)
        hint = f"Write: () => {_short(' '.join(syntax.text_of(node).split()), 80)}"
        yield _warn(syntax, element, ("promise_not_function", "S30"), f"{name}() takes functions; {what}.", hint)


def _mapped_promises(syntax: Syntax, call: Node, name: str) -> Iterator[Finding]:
    """`parallel(items.map(item => agent(…)))`: the most frequent slip of all."""
    callee = field(call, "function")
    method = field(callee, "property") if callee is not None and callee.type == "member_expression" else None
    given = arguments(call)
    if method is None or syntax.text_of(method) not in ("map", "flatMap") or not given:
        return
    callback = bare(given[0])
    if callback.type not in ("arrow_function", "function_expression"):
        return
    body = field(callback, "body")
    first = callback.child(0)
    is_async = first is not None and first.type == "async"
    body = bare(body) if body is not None else None
    is_call = body is not None and _promise_name(syntax, body) is not None
    if not is_async and not is_call:
        return
    parameter = field(callback, "parameter") or field(callback, "parameters")
    shown = syntax.text_of(parameter) if parameter is not None else "()"
    if is_async:
        hint = f"Write: .map({_short(shown, 40)} => async () => …)"
    else:
        assert body is not None
        hint = f"Write: .map({_short(shown, 40)} => () => {_short(' '.join(syntax.text_of(body).split()), 80)})"
    yield _warn(
        syntax, callback, ("promise_not_function", "S30"),
        f"{name}() takes functions; {_STARTED.format(name)}.",
        hint,
    )  # fmt: skip


def _pipeline(syntax: Syntax, call: Node) -> Iterator[Finding]:
    given = arguments(call)
    if not given:
        return
    first = bare(given[0])
    if first.type in _NEVER_LIST or _promise_name(syntax, first):
        yield _warn(
            syntax, first, ("not_an_array", "S32"),
            "pipeline() takes an array of items first, then one function for each stage.",
            "Write: await pipeline(items, (item) => agent(`… ${item}`))",
        )  # fmt: skip
        return
    for position, node in enumerate(given[1:], 1):
        stage = bare(node)
        if stage.type == "object" and position == len(given) - 1:
            yield from _join_options(syntax, stage, "pipeline")
        elif _promise_name(syntax, stage) is not None or stage.type in _NEVER_TEXT - _FUNCTION_KINDS:
            yield _warn(
                syntax, stage, ("not_a_function", "S32"),
                "A stage of pipeline() is a function of (previous, item, index).",
                f"Write: (previous, item) => {_short(' '.join(syntax.text_of(stage).split()), 80)}",
            )  # fmt: skip


def _join_options(syntax: Syntax, options: Node | None, name: str) -> Iterator[Finding]:
    for key_name, key, _ in members(syntax, options) if options is not None else ():
        if key_name not in JOIN_OPTIONS:
            yield _warn(
                syntax, key, ("unknown_option", "S34"),
                f"{name}() has no option `{_short(key_name)}`; it is ignored.{near(key_name, JOIN_OPTIONS)}",
                f"Known options: {', '.join(JOIN_OPTIONS)}.",
            )  # fmt: skip


def _promise_name(syntax: Syntax, node: Node) -> str | None:
    """The name of the primitive that this node calls, or None."""
    if node.type != "call_expression":
        return None
    callee = field(node, "function")
    if callee is None or callee.type != "identifier":
        return None
    name = syntax.text_of(callee)
    return name if name in PROMISING and syntax.is_global(callee) else None


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _warn(syntax: Syntax, node: Node, code_and_rule: tuple[str, str], message: str, hint: str) -> Finding:
    return Finding("warning", *code_and_rule, node.start_byte, first_line_end(syntax, node), message, hint)
