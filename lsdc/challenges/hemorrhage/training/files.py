"""The files of a trained fold, of its slice model and of its sequence model alike."""

WEIGHTS = "model.safetensors"
VECTORS = "vectors.npy"
PREDICTED = ("oof.parquet", "holdout.parquet")
