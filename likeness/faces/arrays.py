"""Names for the arrays that face code passes about."""

from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""An RGB picture, (height, width, 3)."""

Floats = npt.NDArray[np.floating[Any]]
"""Points in pixels, masks in [0, 1] or vectors; the docstring at hand says which."""
