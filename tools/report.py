"""Write the report on a run: ``paddle-finetune report`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("report")
