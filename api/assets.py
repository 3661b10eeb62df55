"""What the page is made of: read and compressed once, answered from memory, validated by each browser each time."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiProblem

FOLDER: Final = Path(__file__).parent / "static"
INDEX: Final = "index.html"
_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_SMALL_BYTES: Final = 512  # not worth compressing


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file."""

    kind: str
    tag: str
    plain: bytes
    packed: bytes | None  # gzip; None where it would not be smaller


class Assets:
    """The files of a folder, by their path in it; an absent folder has none."""

    def __init__(self, folder: Path = FOLDER) -> None:
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        self._files = {path.relative_to(folder).as_posix(): _asset(path) for path in found}

    async def page(self, request: Request) -> Response:
        """Return the dashboard."""
        if INDEX not in self._files:
            raise ApiProblem(404, "not-found", "There is no page here", "the API is described at /openapi.json")
        return _answer(request, self._files[INDEX])

    async def file(self, request: Request) -> Response:
        """Return a file of the page."""
        asset = self._files.get(request.path_params["name"])
        if asset is None:
            raise ApiProblem(404, "not-found", "The page has no such file")
        return _answer(request, asset)


def _asset(path: Path) -> Asset:
    plain = path.read_bytes()
    packed = gzip.compress(plain, mtime=0)
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    return Asset(
        kind=kind,
        tag=f'"{hashlib.sha256(plain).hexdigest()[:16]}"',
        plain=plain,
        packed=packed if len(plain) >= _SMALL_BYTES and len(packed) < len(plain) else None,
    )


def _answer(request: Request, asset: Asset) -> Response:
    """`no-cache`: a browser keeps it, and asks whether it is still the same, so an upgrade shows at once."""
    headers = {"etag": asset.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.kind, headers={**headers, "content-encoding": "gzip"})
    return Response(asset.plain, media_type=asset.kind, headers=headers)
