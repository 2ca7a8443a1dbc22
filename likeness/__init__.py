"""Likeness: what training and rendering both speak - faces, families, adapters, one person's folder."""

__version__ = "0.1.0"
