"""``python -m toolkit`` is the command ``paddle-finetune``."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main()
