"""What performance.md asks for, one command: `make bench`."""
