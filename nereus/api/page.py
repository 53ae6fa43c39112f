"""The web page: built files that ship with the package. Everything that it shows it gets from the REST API.

Its source is in ``web/``; `make web` builds it into ``nereus/api/web/`` (docs/web.md).
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from nereus.errors import NotFound

router = APIRouter(include_in_schema=False)

BUILT = Path(__file__).parent / "web"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; frame-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script or style but the files of the page, and nothing from anywhere else."""
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".woff2": "font/woff2",
}
_NEVER_CHANGES = "public, max-age=31536000, immutable"


@router.get("/")
def page() -> FileResponse:
    """The page."""
    return FileResponse(
        _built("index.html"),
        media_type="text/html",
        headers={"content-security-policy": POLICY, "cache-control": "no-cache"},
    )


@router.get("/favicon.svg")
def icon() -> FileResponse:
    """The sign in a browser's tab."""
    return FileResponse(
        _built("favicon.svg"), media_type=_TYPES[".svg"], headers={"cache-control": "no-cache"}
    )


@router.get("/assets/{name}")
def asset(name: str) -> FileResponse:
    """A file of the page; its name holds the hash of its content."""
    found = _built(f"assets/{name}")
    kind = _TYPES.get(found.suffix, "application/octet-stream")
    return FileResponse(found, media_type=kind, headers={"cache-control": _NEVER_CHANGES})


def _built(name: str) -> Path:
    root = BUILT.resolve()
    found = (root / name.replace("\x00", "")).resolve()
    if not found.is_relative_to(root) or not found.is_file():
        raise NotFound(
            f"the page has no file {name!r}", mend="build it with `make web`, or install the wheel"
        )
    return found
