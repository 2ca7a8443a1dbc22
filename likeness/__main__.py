"""``python -m likeness`` is the ``likeness`` command."""

from likeness.cli import main

if __name__ == "__main__":
    main()
