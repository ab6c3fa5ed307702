"""What every part of the toolkit uses: errors, messages, files, locks and the machine."""
