"""Evaluate a trained run: ``paddle-finetune eval`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("eval")
