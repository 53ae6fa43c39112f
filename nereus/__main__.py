"""``python -m nereus``: the command line, where its script is not on the path."""

from nereus.cli import app

if __name__ == "__main__":
    app(prog_name="nereus")
