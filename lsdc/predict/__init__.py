"""What `lsdc predict` is made of in every challenge: blocks of studies, results, progress."""
