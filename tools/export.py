"""Export a trained run for inference: ``paddle-finetune export`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("export")
