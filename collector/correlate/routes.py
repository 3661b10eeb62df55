"""Targets without secrets, and routes of bounded number."""

import re
from typing import Final

TARGET_LIMIT: Final = 2048
OTHER: Final = "_other"
_MEMO_LIMIT: Final = 8192

_OPAQUE: Final = re.compile(
    r"\d+|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{8,}|(?=[^/]*\d)[\w.~%=+-]{16,}|[^/]{48,}"
)
_PLACEHOLDER: Final = "{id}"


def split_target(raw: bytes) -> tuple[str, str | None]:
    """Return (target as sent, text; authority of an absolute-form target without userinfo)."""
    text = raw.decode("latin-1")
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme.isalpha():
        return text, None
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority = rest[:end].rpartition("@")[2]
    return f"{scheme}://{authority}{rest[end:]}", authority


def redact(target: str) -> tuple[str, bool]:
    """Return the target with its query's values replaced by `*`, and whether it had to be cut."""
    path, mark, query = target.partition("?")
    if mark:
        names = (item.partition("=") for item in query.split("&"))
        path += "?" + "&".join(f"{name}{sign}*" if sign else name for name, sign, _ in names)
    return (path[:TARGET_LIMIT], True) if len(path) > TARGET_LIMIT else (path, False)


def template(path: str) -> str:
    """Return the path with segments that look like identifiers replaced."""
    return "/".join(_PLACEHOLDER if part and _OPAQUE.fullmatch(part) else part for part in path.split("/"))


class Target:
    """What a request-target becomes in events. Shared by all requests with the same one."""

    __slots__ = ("authority", "cut", "path", "shown")

    def __init__(self, raw: bytes) -> None:
        text, self.authority = split_target(raw)
        self.shown, self.cut = redact(text)
        bare = text.partition("?")[0]
        if self.authority is not None:
            bare = bare.partition("://")[2][len(self.authority) :] or "/"
        self.path = bare


class RouteTable:
    """Routes by service: configured templates first, derived ones else; at most `limit` a service."""

    def __init__(self, templates: tuple[str, ...] = (), limit: int = 500) -> None:
        self._templates = [(self._pattern(text), text) for text in templates]
        self._limit = limit
        self._known: dict[str | None, set[str]] = {}
        self._targets: dict[bytes, Target] = {}
        self._routes: dict[tuple[str | None, str], str] = {}
        self.overflowed = 0

    @staticmethod
    def _pattern(text: str) -> re.Pattern[str]:
        parts = (r"[^/]+" if part.startswith("{") else re.escape(part) for part in text.split("/"))
        return re.compile("/".join(parts))

    def target(self, raw: bytes) -> Target:
        """Return the target's forms. One with a query or user information may hold a secret: it is not remembered."""
        known = self._targets.get(raw)
        if known is None:
            if b"?" in raw or b"@" in raw:
                return Target(raw)
            if len(self._targets) >= _MEMO_LIMIT:
                self._targets.clear()
            known = self._targets[raw] = Target(raw)
        return known

    def route(self, service: str | None, path: str) -> str:
        """Return the route of a path, `_other` where the service has too many."""
        known = self._routes.get((service, path))
        if known is None:
            if len(self._routes) >= _MEMO_LIMIT:
                self._routes.clear()
            known = self._routes[(service, path)] = self._derive(service, path)
        if known is OTHER:
            self.overflowed += 1
        return known

    def _derive(self, service: str | None, path: str) -> str:
        for pattern, text in self._templates:
            if pattern.fullmatch(path):
                return text
        route = template(path)[:256]
        routes = self._known.setdefault(service, set())
        if route not in routes:
            if len(routes) >= self._limit:
                return OTHER
            routes.add(route)
        return route
