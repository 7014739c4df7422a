"""What is wrong with the words that a subagent gets: it sees its prompt and the project, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.lint.calls import members, options_of
from sandbox.lint.fanouts import FanOut, beside_the_label, called_agent, fan_outs, parameters, returned
from sandbox.lint.finding import Finding
from sandbox.lint.meta import first_line_end
from sandbox.lint.nodes import arguments, bare, field
from sandbox.lint.regions import is_inside
from sandbox.lint.syntax import Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

_MOST_OF_A_TASK = 300
"""Characters: a longer prompt asks for more than code can do."""

_THINGS = (
    r"(list|array|items?|numbers?|lines?|names?|words|strings?|values?|entries|files?|paths?|urls?|ids|elements|rows)"
)
_THE = r"(all |the |these |this |following |each |every )+([\w-]+ )?"
_CODE_TASKS = re.compile(
    rf"^(please )?("
    rf"(sort|order|reverse|shuffle) {_THE}{_THINGS}\b"
    rf"|(remove|drop|delete|eliminate) ({_THE}|any )?duplicates?( {_THINGS})? (from|in) "
    rf"|de-?duplicate {_THE}{_THINGS}\b"
    rf"|count (how many |{_THE}|the number of )({_THINGS}|characters)\b"
    rf"|how many (lines|words|characters|items|entries|elements|files) (are|does|do|is|has|have) "
    rf"|(parse|pretty-print|stringify|validate) {_THE}json\b"
    rf"|(convert|format|reformat) {_THE}(dates?|timestamps?|numbers?)\b"
    rf"|(join|concatenate) {_THE}{_THINGS}\b"
    rf"|(sum|add up|sum up) {_THE}(numbers|values|counts|amounts)\b"
    rf"|(compute|calculate) the (sum|average|mean|median|total) of "
    rf"|filter (out )?{_THE}{_THINGS} (that|which) (contain|start|end|match|equal|are (empty|longer|shorter))"
    rf")",
    re.IGNORECASE,
)
_JUDGED = re.compile(
    r"mean|similar|semantic|importan|relevan|quality|sever|priorit|interest|useful|likel|risk|impact|best|difficult"
    r"|urgen|clear|matter|paraphras|overlap|convinc|plausib|run |test|explain|why|judg",
    re.IGNORECASE,
)
"""Words of a task that needs a judgement after all."""
_DANGLING = re.compile(r"\b(the following|below)\b[^:\n]{0,60}:?\s*$", re.IGNORECASE)
_THIS = re.compile(r"\b(this|the given) (file|diff|finding|claim|snippet|document|function|patch)\b", re.IGNORECASE)
_NAMED = re.compile(r"[\w-]+\.\w{1,5}\b|[`\"/\n]|\w\(\)|: \S")
"""What names a thing in a prompt: a path, a quotation, something after a colon."""
_FUNCTIONS = ("arrow_function", "function_expression")


def find_tasks_for_code(syntax: Syntax) -> Iterator[Finding]:
    for call in syntax.calls("agent"):
        prompt = _prompt(call)
        said = _literal(syntax, prompt) if prompt is not None else None
        if prompt is None or said is None or len(said) > _MOST_OF_A_TASK:
            continue
        if _CODE_TASKS.match(said.lstrip()) and not _JUDGED.search(said):
            yield _finding(
                syntax, prompt, ("agent_for_code", ""),
                "Code does this for nothing, and is never wrong at it.",
                "Write it in the script: items.toSorted(), [...new Set(items)], items.length, JSON.parse(text), "
                "items.join(', ').",
            )  # fmt: skip


def find_prompts_without_input(syntax: Syntax) -> Iterator[Finding]:
    for call in syntax.calls("agent"):
        prompt = _prompt(call)
        if prompt is None or _substitutions(prompt):
            continue
        said = _literal(syntax, prompt)
        if said is not None and (_DANGLING.search(said) or (_THIS.search(said) and not _NAMED.search(said))):
            yield _finding(
                syntax, prompt, ("prompt_without_input", "S20"),
                "The prompt speaks of something that it does not have: a subagent sees its prompt, not your variables.",
                "Put it in: `Review this file: ${file}`",
            )  # fmt: skip
    for fan_out in fan_outs(syntax):
        ignored = _ignored(syntax, fan_out)
        if ignored is not None and fan_out.agent is not None:
            yield _finding(
                syntax, fan_out.agent, ("prompt_without_input", "S20"),
                f"`{ignored}` does not get into this prompt, so the subagent knows nothing of it.",
                f"Put it in: agent(`… ${{{ignored}}}`); or name it `_{ignored}` when it is not needed.",
            )  # fmt: skip


def find_identical_prompts(syntax: Syntax) -> Iterator[Finding]:
    for fan_out in fan_outs(syntax):
        if fan_out.agent is not None and fan_out.stage == 0 and _cannot_differ(syntax, fan_out):
            yield _same(syntax, fan_out.agent)
    for call in syntax.calls("parallel"):
        given = arguments(call)
        listed = bare(given[0]) if given else None
        if listed is None or listed.type != "array":
            continue
        seen: set[str] = set()
        for element in listed.named_children:
            agent = called_agent(syntax, returned(bare(element))) if bare(element).type in _FUNCTIONS else None
            text = _what_differs(syntax, agent) if agent is not None else None
            if agent is not None and text is not None and text in seen:
                yield _same(syntax, agent)
                break
            seen.update(filter(None, (text,)))


def _ignored(syntax: Syntax, fan_out: FanOut) -> str | None:
    """The parameter with the input that a callback takes, and that only labels use."""
    taken = parameters(fan_out.callback)
    if not taken or fan_out.agent is None or taken[0].type != "identifier":
        return None
    name = syntax.text_of(taken[0])
    if name.startswith("_") or _uses(syntax, fan_out, taken[0]):
        return None
    is_about_items = fan_out.stage == 0
    if is_about_items and any(node.type != "identifier" or _uses(syntax, fan_out, node) for node in taken[1:]):
        return None
    return name


def _cannot_differ(syntax: Syntax, fan_out: FanOut) -> bool:
    """Whether the agent's words come from outside the callback and call nothing."""
    assert fan_out.agent is not None
    taken = parameters(fan_out.callback)
    if any(node.type != "identifier" or _uses(syntax, fan_out, node) for node in taken):
        return False
    if taken and not syntax.text_of(taken[0]).startswith("_"):
        return False  # said already: its input is missing
    given = arguments(fan_out.agent)
    return bool(given) and all(_is_fixed(syntax, fan_out.agent, node) for node in given)


def _is_fixed(syntax: Syntax, agent: Node, node: Node) -> bool:
    """Without calls, and without what changes from one evaluation to the next."""
    pending = [node]
    while pending:
        one = pending.pop()
        if one.type in ("call_expression", "update_expression", "await_expression", "assignment_expression"):
            if beside_the_label(syntax, agent, one):
                return False
            continue
        pending.extend(one.named_children)
    return True


def _uses(syntax: Syntax, fan_out: FanOut, parameter: Node) -> bool:
    agent = fan_out.agent
    return agent is None or any(
        not is_inside(use, agent) or beside_the_label(syntax, agent, use) for use in syntax.uses_of(parameter)
    )


def _what_differs(syntax: Syntax, agent: Node) -> str | None:
    """The prompt and the options that change the answer, as text; None when calls in them may differ."""
    given = arguments(agent)
    if not given or not all(_is_fixed(syntax, agent, node) for node in given):
        return None
    texts = [syntax.text_of(given[0])]
    options = options_of(agent, 1)
    if options is None:
        texts += [syntax.text_of(node) for node in given[1:]]
    else:
        if any(child.type == "spread_element" for child in options.named_children):
            return None
        texts += sorted(
            f"{name}: {syntax.text_of(value) if value is not None else name}"
            for name, _, value in members(syntax, options)
            if name not in ("label", "phase")
        )
    return "\n".join(texts)


def _prompt(call: Node) -> Node | None:
    given = arguments(call)
    return bare(given[0]) if given and given[0].type != "spread_element" else None


def _literal(syntax: Syntax, node: Node) -> str | None:
    """The fixed words of a prompt: of a string, of a template, of a sum of them that begins with one."""
    if node.type == "string":
        return syntax.text_of(node)[1:-1].replace("\\n", "\n")
    if node.type == "template_string":
        parts = (syntax.text_of(child) for child in node.named_children if child.type != "template_substitution")
        return "".join(parts)
    if node.type == "binary_expression":
        pieces = _summands(node)
        if pieces and pieces[0].type in ("string", "template_string"):
            return "".join(
                _literal(syntax, piece) or "" for piece in pieces if piece.type in ("string", "template_string")
            )
    return None


def _substitutions(node: Node) -> bool:
    """Whether a prompt has any part that is not fixed."""
    if node.type == "template_string":
        return any(child.type == "template_substitution" for child in node.named_children)
    if node.type == "binary_expression":
        return any(piece.type != "string" and (piece.type != "template_string" or _substitutions(piece))
                   for piece in _summands(node))  # fmt: skip
    return node.type != "string"


def _summands(node: Node) -> list[Node]:
    """`a + b + c` → its parts, in order."""
    out: list[Node] = []
    while node.type == "binary_expression":
        left, right = field(node, "left"), field(node, "right")
        if left is None or right is None:
            break
        out.append(bare(right))
        node = bare(left)
    out.append(node)
    return out[::-1]


def _same(syntax: Syntax, agent: Node) -> Finding:
    return _finding(
        syntax, agent, ("identical_prompts", "S30"),
        "Every agent of this fan-out gets the same words: they can only say the same.",
        "Give each its own: lenses.map((lens) => () => agent(`… Look only at ${lens}.`)); for a vote: vote(n, prompt).",
    )  # fmt: skip


def _finding(syntax: Syntax, node: Node, code_and_rule: tuple[str, str], message: str, hint: str) -> Finding:
    return Finding("warning", *code_and_rule, node.start_byte, first_line_end(syntax, node), message, hint)
