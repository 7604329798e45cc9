"""The grid of tiles that covers some rows of a fragment, to its far edges."""

from dataclasses import dataclass


def starts(first: int, end: int, size: int, stride: int) -> list[int]:
    """Return where tiles begin that cover first to end: every `stride` px, and flush with the end.

    A single tile covers less than its size, and reaches beyond the end.

    >>> starts(0, 100, 64, 32)
    [0, 32, 36]
    >>> starts(0, 40, 64, 32)
    [0]
    """
    last = max(end - size, first)
    found = list(range(first, last, stride))
    return [*found, last]


@dataclass(frozen=True)
class Grid:
    """Tiles over rows of a fragment, row by row.

    Attributes:
        rows: where rows of tiles begin, in pixels of the fragment.
        columns: where the tiles of each row begin.
        first_row: the first row of the map.
        end_row: the row after the last one of the map.
        shape: the rows and columns of the fragment.
        size: the side length of a tile.
        edge: pixels along the edges of a tile that do not count inside the fragment.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    first_row: int
    end_row: int
    shape: tuple[int, int]
    size: int
    edge: int

    @property
    def tiles(self) -> int:
        """The number of tiles."""
        return len(self.rows) * len(self.columns)

    def sides(self, row: int, column: int) -> tuple[bool, bool, bool, bool]:
        """Return whether a tile's top, bottom, left and right edge are inside the fragment."""
        rows, columns = self.shape
        return row > 0, row + self.size < rows, column > 0, column + self.size < columns


def lay_grid(
    first_row: int, end_row: int, shape: tuple[int, int], *, size: int, stride: int, edge: int
) -> Grid:
    """Return the tiles whose pixels, without the edges that do not count, cover the rows.

    Tiles may show rows before and after these, as far as the fragment has them.
    """
    rows, columns = shape
    first, end = max(first_row - edge, 0), min(end_row + edge, rows)
    return Grid(
        rows=tuple(starts(first, end, size, stride)),
        columns=tuple(starts(0, columns, size, stride)),
        first_row=first_row,
        end_row=end_row,
        shape=shape,
        size=size,
        edge=edge,
    )
