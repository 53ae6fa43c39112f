"""Names of resources: ``nereus://runs/<run>/...``, ``nereus://datasets/<id>``, ``nereus://jobs/<job>/outputs/<name>``."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

SCHEME = "nereus"


def uri(*parts: str) -> str:
    """The URI of a path of parts; what a part holds is escaped."""
    return f"{SCHEME}://" + "/".join(quote(part, safe="") for part in parts)


def parts_of(text: str) -> tuple[str, ...] | None:
    """The parts that a URI names; None where it is no URI of ours."""
    try:
        found = urlsplit(text)
    except ValueError:
        return None
    if found.scheme != SCHEME or found.query or found.fragment:
        return None
    return tuple(unquote(part) for part in (found.netloc, *found.path.strip("/").split("/")) if part)


def run_uri(run_id: str, *parts: str) -> str:
    """The URI of a run, or of something of it."""
    return uri("runs", run_id, *parts)


def dataset_uri(dataset_id: str) -> str:
    """The URI of a data set."""
    return uri("datasets", dataset_id)


def job_output_uri(job_id: str, name: str) -> str:
    """The URI of what a job made."""
    return uri("jobs", job_id, "outputs", name)
