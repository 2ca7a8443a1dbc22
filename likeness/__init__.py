"""Likeness: what training and rendering both speak - faces, families, adapters, one person's folder."""

import os

__version__ = "0.1.0"

# onnxruntime tells its makers of every process that loads it, by a number that it keeps of the machine, and diffusers loads it
# with any base where it is installed. Read when it is first loaded, which is after this; a value that is set already stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
