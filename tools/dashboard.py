"""Show runs in VisualDL: ``paddle-finetune dashboard`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("dashboard")
