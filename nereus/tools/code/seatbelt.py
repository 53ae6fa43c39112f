"""The profile for macOS's own sandbox (``sandbox-exec``), which denies all that it does not allow."""

from __future__ import annotations

import os

from nereus.tools.code.view import DEVICES, View

# What an interpreter cannot start without: the dynamic loader's cache, locales, and the system's libraries.
_SYSTEM = ("/System/Library", "/usr/lib", "/usr/share", "/Library/Frameworks", "/private/var/db/timezone")


def profile(view: View, program: str) -> str:
    """The profile: the view's files, one program, no network, no other process.

    Parameters
    ----------
    view
        What is to be seen.
    program
        The interpreter: the only program that may be started.
    """
    readable = [*_SYSTEM, *view.readable]
    lines = [
        "(version 1)",
        "(deny default)",
        "(deny network*)",
        "(deny process-fork)",
        "(allow sysctl-read)",
        "(allow signal (target self))",
        # Names, not contents: the interpreter looks at every folder on the way to its own.
        "(allow file-read-metadata)",
        f"(allow process-exec (literal {_quoted(program)}) (literal {_quoted(os.path.realpath(program))}))",
        *(
            f"(allow file-read* (subpath {_quoted(one)}))"
            for one in dict.fromkeys(map(os.path.realpath, readable))
        ),
        *(f"(allow file-read* file-write-data (literal {_quoted(one)}))" for one in DEVICES),
        f"(allow file-read* file-write* (subpath {_quoted(os.path.realpath(view.work))}))",
    ]
    return "\n".join(lines) + "\n"


def _quoted(path: str) -> str:
    """A path as a string of the profile's language: a quote in a name must not end it."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
