"""From selfies to an adapter: intake, portraits, the loop, choosing checkpoints and recipes."""
