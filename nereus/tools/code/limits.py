"""What code in the sandbox may take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nereus.errors import SettingsError

if TYPE_CHECKING:
    from nereus.settings import Settings


@dataclass(frozen=True)
class Limits:
    """Limits of one sandbox. Whoever passes one is stopped, and told which."""

    wall_s: float = 60.0
    """Seconds that one piece of code may run."""
    cpu_s: float = 60.0
    """Seconds of processor time for one piece of code, over all its threads."""
    session_cpu_s: int = 3600
    """Seconds of processor time for all pieces of a session together."""
    memory_mb: int = 4096
    """Address space. There is one process, so this is all the memory there is."""
    threads: int = 64
    """Threads; where the code may start processes (grade ``limited``), these count, too."""
    file_mb: int = 256
    """Largest file."""
    disk_mb: int = 512
    """All files of the work folder together."""
    files: int = 2000
    """Number of files and folders in the work folder."""
    open_files: int = 256
    """Files open at once."""
    output_kb: int = 8192
    """All that is printed by one piece of code, to either stream."""
    reply_mb: int = 64
    """Tables, figures and values that come back from one piece of code."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise SettingsError(
                    f"{name} is {value!r}", where="sandbox limits", mend="write a positive number"
                )

    @classmethod
    def of(cls, settings: Settings, **changes: Any) -> Limits:
        """The limits that the settings name, with changes."""
        named = {
            "wall_s": settings.sandbox_wall_s,
            "cpu_s": settings.sandbox_cpu_s,
            "memory_mb": settings.sandbox_memory_mb,
            "disk_mb": settings.sandbox_disk_mb,
            "output_kb": settings.sandbox_output_kb,
        }
        return cls(**(named | {name: value for name, value in changes.items() if value is not None}))
