"""Reading DICOM files in supervised child processes."""
