"""The audit for a pipeline: as `likeness audit --fail`, exit status 1 when a group is served worse beyond chance.

python scripts/audit.py people [--labels labels.csv] [--out reports]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from likeness.cli import main

if __name__ == "__main__":
    sys.argv = ["likeness", "audit", "--fail", *sys.argv[1:]]
    main()
