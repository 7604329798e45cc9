"""The files of a trained fold that both models have beside their weights."""

VECTORS = "vectors.npy"
PREDICTED = ("oof.parquet", "holdout.parquet")
