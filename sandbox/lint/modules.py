"""A script stands alone: nothing comes in by import, nothing but meta goes out (S07).

These are questions to the tree, so the words in strings, comments, templates and property names never count.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.lint.finding import Finding
from sandbox.lint.meta import first_line_end
from sandbox.lint.nodes import field
from sandbox.lint.syntax import Syntax

_ALONE = (
    "A workflow script has no modules: what it may use is there as globals (agent, parallel, pipeline, workflow, …)."
)


def find_modules(syntax: Syntax) -> Iterator[Finding]:
    for node in syntax.all("import_statement"):
        yield _forbidden(node.start_byte, first_line_end(syntax, node), "import", f"`import` is not allowed. {_ALONE}")
    for node in syntax.all("call_expression"):
        callee = field(node, "function")
        if callee is not None and callee.type == "import":
            yield _forbidden(
                node.start_byte, first_line_end(syntax, node), "import", f"`import()` is not allowed. {_ALONE}"
            )
    for node in syntax.all("meta_property"):
        if syntax.text[node.start_byte : node.start_byte + 6] == b"import":
            yield _forbidden(node.start_byte, node.end_byte, "import", f"`import.meta` is not allowed. {_ALONE}")
    for call in syntax.calls("require"):
        yield _forbidden(
            call.start_byte, first_line_end(syntax, call), "require", f"`require()` is not allowed. {_ALONE}"
        )
    is_first = True
    for node in syntax.all("export_statement"):
        declaration = field(node, "declaration")
        if is_first and declaration is not None and declaration.type in ("lexical_declaration", "variable_declaration"):
            name = next((field(child, "name") for child in declaration.named_children if child.type != "comment"), None)
            if name is not None and syntax.text_of(name) == "meta":
                is_first = False
                continue
        is_first = False
        yield Finding(
            "error",
            "export",
            "S07",
            node.start_byte,
            first_line_end(syntax, node),
            "Only meta is exported; the result of a script is what it returns.",
            "Remove `export`; to give a value back, end the script with: return value;",
        )


def _forbidden(start: int, end: int, code: str, message: str) -> Finding:
    return Finding(
        "error",
        code,
        "S07",
        start,
        end,
        message,
        "Remove the line; write the function in the script, or let an agent do what needs the outside world.",
    )
