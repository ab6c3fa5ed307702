"""List the networks of the zoo, or show one: ``paddle-finetune models`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("models")
