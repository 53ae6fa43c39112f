"""The page that ships is built from the source that is here, and asks nobody but its own server."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from nereus.api.page import BUILT

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "web"
PARTS = (
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "public",
    "src",
)


def hashes(root: Path, paths: list[Path]) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.is_file()
    }


def test_the_build_belongs_to_the_source() -> None:
    told = json.loads((BUILT / "build.json").read_text())
    sources = [path for part in PARTS for path in ((SOURCE / part), *(SOURCE / part).rglob("*"))]
    assert hashes(SOURCE, sources) == told["source"], "the source has changed: run `make web`"
    built = [path for path in BUILT.rglob("*") if path.name != "build.json"]
    assert hashes(BUILT, built) == told["built"], "built files were changed by hand: run `make web`"


def test_the_page_names_no_other_host_and_holds_no_inline_script() -> None:
    page = (BUILT / "index.html").read_text()
    assert "https://" not in page
    assert "http://" not in page
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert not re.search(r"\son\w+=", page)
    for file in (BUILT / "assets").iterdir():
        text = file.read_text()
        fetched = re.findall(r"""(?:fetch|open|import)\(\s*["'`]https?://""", text)
        assert fetched == [], file.name
        assert "@import" not in text
        assert not re.search(r"url\(\s*[\"']?https?:", text), file.name


def test_no_html_is_made_of_text() -> None:
    """React escapes; what would go around it does not occur in the source."""
    ways = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcDoc|javascript:"
    )
    for path in (*SOURCE.glob("src/**/*.ts"), *SOURCE.glob("src/**/*.tsx")):
        assert not ways.search(path.read_text()), path.name
        assert "dangerouslySet" not in path.read_text(), path.name
