"""A worker as a process: ``python -m nereus.api.workers``, with settings from its environment.

With ``--beside PID`` it stops when the process that started it has gone, also where that was killed, and however early.
"""

import sys

from nereus.api.workers.worker import main
from nereus.settings import load_settings

if __name__ == "__main__":
    beside = int(sys.argv[2]) if sys.argv[1:2] == ["--beside"] else None
    main(load_settings(), parent=beside)
