"""Columns that several of the challenge's tables have."""

import dataframely as dy

from lsdc.challenges.ink.vocabulary import SPLITS
from lsdc.tables.table import one_of


def fragment(*, primary_key: bool = False) -> dy.String:
    """Return the column with a fragment's name."""
    about = "Name of the fragment: that of its folder in train/ or test/."
    return dy.String(primary_key=primary_key, description=about)


def split() -> dy.String:
    """Return the column with a fragment's split."""
    return dy.String(check=one_of(SPLITS), description="train or test.")


def region(*, primary_key: bool = False) -> dy.String:
    """Return the column with a region's name."""
    about = "Name of the region: its fragment's, with the band's number if there are several: 2-0."
    return dy.String(primary_key=primary_key, description=about)


def first_row() -> dy.Int32:
    """Return the column with the first row of pixels of a range."""
    return dy.Int32(min=0, description="First row of pixels, from 0 at the fragment's top.")


def end_row() -> dy.Int32:
    """Return the column with the end of a range of rows of pixels."""
    return dy.Int32(min=1, description="The row of pixels after the last one.")


def fold() -> dy.Int32:
    """Return the column with a region's fold."""
    return dy.Int32(min=0, description="Number of the fold that holds the region out, from 0.")
