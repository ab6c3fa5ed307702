"""Manage the cached outputs of frozen stages: ``paddle-finetune cache`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("cache")
