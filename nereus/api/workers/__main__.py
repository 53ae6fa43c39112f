"""A worker as a process: ``python -m nereus.api.workers``, with settings from its environment.

With ``--beside`` it stops when the process that started it has gone, also where that was killed.
"""

import os
import sys

from nereus.api.workers.worker import main
from nereus.settings import load_settings

if __name__ == "__main__":
    main(load_settings(), parent=os.getppid() if "--beside" in sys.argv else None)
