"""What `format` means in a schema, for the names that schemas for models use; an unknown one checks nothing.

Each check is a few lines on the standard library and takes time linear in the text: the text is a model's (I5).
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date, datetime
from urllib.parse import urlsplit

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?(Z|z|[+-]([01]\d|2[0-3]):[0-5]\d)\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_HOST_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z", re.ASCII)
_DURATION = re.compile(r"P(?!\Z)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)\Z", re.ASCII)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z", re.ASCII)
_MAX_LENGTH = 65_536


def _is_date(text: str) -> bool:
    return _DATE.match(text) is not None and date.fromisoformat(text) is not None


def _is_date_time(text: str) -> bool:
    if len(text) < 20 or text[10] not in "Tt ":
        return False
    return _is_date(text[:10]) and _TIME.match(text[11:]) is not None


def _is_email(text: str) -> bool:
    user, at, host = text.rpartition("@")
    return bool(at and user) and len(user) <= 64 and not any(c.isspace() for c in user) and _is_hostname(host)


def _is_hostname(text: str) -> bool:
    return 0 < len(text) <= 253 and all(_HOST_LABEL.match(label) for label in text.split("."))


def _is_uri_reference(text: str) -> bool:
    urlsplit(text)
    return text.isascii() and not any(c.isspace() or c in '<>"{}|\\^`' for c in text)


def _is_uri(text: str) -> bool:
    return _is_uri_reference(text) and bool(urlsplit(text).scheme)


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _is_date,
    "date-time": _is_date_time,
    "time": lambda text: _TIME.match(text) is not None,
    "duration": lambda text: _DURATION.match(text) is not None,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": lambda text: ipaddress.IPv4Address(text) is not None,
    "ipv6": lambda text: ipaddress.IPv6Address(text) is not None,
    "uri": _is_uri,
    "uri-reference": _is_uri_reference,
    "uuid": lambda text: _UUID.match(text) is not None and uuid.UUID(text) is not None,
    "json-pointer": lambda text: (not text or text[0] == "/") and "~" not in text.replace("~0", "").replace("~1", ""),
}


def has_format(name: str, text: str) -> bool:
    """Whether `text` has the format `name`; True for a name that is not known."""
    check = FORMATS.get(name)
    if check is None:
        return True
    if len(text) > _MAX_LENGTH:
        return False
    try:
        return check(text)
    except ValueError:
        return False


EXAMPLES: dict[str, Callable[[int], str]] = {
    "date": lambda n: date.fromordinal(737_791 + n % 3_650).isoformat(),
    "date-time": lambda n: datetime.fromordinal(737_791 + n % 3_650).isoformat() + "Z",
    "time": lambda n: f"{n % 24:02}:{n // 24 % 60:02}:00Z",
    "duration": lambda n: f"PT{1 + n % 59}M",
    "email": lambda n: f"user{n % 10_000}@example.com",
    "hostname": lambda n: f"host{n % 10_000}.example.com",
    "ipv4": lambda n: f"192.0.2.{n % 256}",
    "ipv6": lambda n: f"2001:db8::{n % 65_536:x}",
    "uri": lambda n: f"https://example.com/{n % 10_000}",
    "uri-reference": lambda n: f"/{n % 10_000}",
    "uuid": lambda n: str(uuid.UUID(int=n % (1 << 128), version=4)),
    "json-pointer": lambda n: f"/{n % 10_000}",
}
"""A string of each format, made from a number: for the `sample` backend."""
