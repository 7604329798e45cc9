"""Random oblique planes with attributes as in DICOM files, and rigid motion of the patient."""

import numpy as np
from scipy.spatial.transform import Rotation

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]

Dicom = tuple[np.ndarray, np.ndarray, np.ndarray]


def random_dicom(seed: int, n: int = 20) -> Dicom:
    """Return positions (n, 3), orientations (n, 6), spacings (n, 2) of random oblique planes."""
    rng = np.random.default_rng(seed)
    turns = Rotation.random(n, random_state=rng).as_matrix()
    orientation = np.concatenate([turns[:, :, 0], turns[:, :, 1]], axis=1)
    return rng.uniform(-300, 300, (n, 3)), orientation, rng.uniform(0.2, 2.0, (n, 2))


class Move:
    """A rotation and translation of the whole patient."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._turn = Rotation.random(random_state=rng).as_matrix()
        self._shift = rng.uniform(-500, 500, 3)

    def directions(self, vectors: np.ndarray) -> np.ndarray:
        """Return directions (..., 3) after the move."""
        return np.asarray(vectors) @ self._turn.T

    def points(self, points_mm: np.ndarray) -> np.ndarray:
        """Return points (..., 3) after the move."""
        return self.directions(points_mm) + self._shift


def rigidly_moved(dicom: Dicom, seed: int) -> Dicom:
    """Return the same slices after a rigid move of the patient."""
    position, orientation, spacing = dicom
    move = Move(seed)
    turned = move.directions(np.reshape(orientation, (-1, 2, 3))).reshape(-1, 6)
    return move.points(position), turned, spacing
