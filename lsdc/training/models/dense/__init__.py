"""Networks that predict an image from the layers of a volume."""
