"""The environment of what subagents start: ours without its secrets, and with a mark.

The mark is how `pawl run` knows that a subagent calls it, which it refuses: a subagent cannot start workflows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

INSIDE_AGENT = "PAWL_INSIDE_AGENT"
"""Set, to 1, in everything that a subagent starts."""


def for_subagents(
    environ: Mapping[str, str], secret_names: Collection[str], keep: Collection[str] = ()
) -> dict[str, str]:
    """`environ` without variables whose names or values are secret.

    Args:
        secret_names: patterns of names, as `secrets.environment` of the settings has them.
        keep: names that stay although they are secret: a program's own key.
    """
    secrets = {name for name in environ if any(fnmatchcase(name, pattern) for pattern in secret_names)}
    # A secret under a second name is one, too. Short values are no secrets: 1, true, a user's name.
    values = {environ[name] for name in secrets if len(environ[name]) >= 8}
    out = {
        name: value for name, value in environ.items() if name in keep or (name not in secrets and value not in values)
    }
    out[INSIDE_AGENT] = "1"
    return out
