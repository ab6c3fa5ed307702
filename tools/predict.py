"""Label images with a run, an exported model or an ImageNet network: ``paddle-finetune predict`` from a clone."""

from toolkit.commands.cli import main

if __name__ == "__main__":
    main("predict")
