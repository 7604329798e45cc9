"""The cached stages of the haemorrhage challenge."""
