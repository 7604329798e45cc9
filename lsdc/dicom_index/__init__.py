"""The headers of any listing of DICOM files, as checked tables."""
