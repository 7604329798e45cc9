"""Reading DICOM files in supervised child processes; knows no spine."""
