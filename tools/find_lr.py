"""Find learning rates with a range test: ``paddle-finetune find_lr`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("find_lr")
