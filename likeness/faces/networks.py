"""The shipped TFLite networks, run by OpenCV on the CPU."""

import os
import threading
from collections.abc import Sequence

import cv2
import numpy as np

from likeness.errors import LikenessError
from likeness.faces.arrays import Floats
from likeness.resources import assets


class Network:
    """One TFLite file, read at first use.

    An OpenCV net keeps its buffers between calls, so it is neither thread-safe nor usable after a fork: a call holds a
    lock, and a process that inherited the object reads the file anew.
    """

    def __init__(self, file_name: str, outputs: Sequence[str]) -> None:
        self._path = assets() / "faces" / file_name
        self._outputs = list(outputs)
        self._forget()

    def _forget(self) -> None:
        self._net: cv2.dnn.Net | None = None
        self._process = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        return {"_path": self._path, "_outputs": self._outputs}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __call__(self, blob: Floats) -> list[Floats]:
        """Outputs, in the order asked for, of a float32 batch (1, 3, height, width)."""
        if self._process != os.getpid():
            self._lock = threading.Lock()  # the parent's may have been held when it forked
            self._net, self._process = None, os.getpid()
        with self._lock:
            if self._net is None:
                self._net = self._read()
            self._net.setInput(blob)
            return [np.array(output, np.float32) for output in self._net.forward(self._outputs)]

    def _read(self) -> cv2.dnn.Net:
        try:
            return cv2.dnn.readNetFromTFLite(np.fromfile(self._path, np.uint8))
        except (OSError, cv2.error) as error:
            raise LikenessError("a face model is missing or damaged", "Install Likeness again", self._path) from error
