"""Compare presets and networks on the same splits of your images: ``paddle-finetune compare`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("compare")
