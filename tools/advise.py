"""Measure your images, and recommend what to freeze: ``paddle-finetune advise`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("advise")
