"""Training of networks that find ink in tiles of layers."""
