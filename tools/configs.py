"""List the configurations that come with the toolkit: ``paddle-finetune configs`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("configs")
