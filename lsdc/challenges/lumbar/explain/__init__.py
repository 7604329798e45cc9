"""What predictions rest on: weights of slices, maps, and pictures of them."""
