"""How the recogniser of the drawn world is made: see README.md."""
