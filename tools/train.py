"""Fine-tune a network on your images, then export it: ``paddle-finetune train`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("train")
