"""Lumbar spine degenerative classification, from DICOM folders to a scored submission."""

__version__ = "0.1.0"
