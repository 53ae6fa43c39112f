"""A worker as a process: ``python -m nereus.api.workers``, with settings from its environment."""

from nereus.api.workers.worker import main
from nereus.settings import load_settings

if __name__ == "__main__":
    main(load_settings())
