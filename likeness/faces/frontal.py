"""A face laid flat: the mesh turned back to the front, and its pixels laid on one person's own frontal face."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from likeness.faces.arrays import Floats
from likeness.faces.face import OVAL, Face, axes

GRID = 160
"""Side in pixels of the flat face: above that of the cohort's faces (105 px), so that no detail is lost."""

_FILL = 0.92  # of the grid's side, taken by the face's longer side
_LEAST_SEEN = 0.35  # of its flat area that a triangle must have on the picture to count as seen


def frontal(face: Face, depth: float = 1.0) -> Floats:
    """Landmarks (468, 3), float64, turned so that the face looks straight ahead, about their middle.

    The mesh's z is weak-perspective and in the unit of x, so that turning back is one rotation: x runs from cheekbone to
    cheekbone, y from forehead to chin. What remains of the pose is the network's own error and the camera's perspective.
    depth: what z is taken times before that.
    """
    points = face.landmarks * np.array([1.0, 1.0, depth])
    across, down = axes(points)
    turn = np.stack([across, down, np.cross(across, down)], axis=1)
    return np.asarray((points - points.mean(axis=0)) @ turn)


class FlatFace:
    """One person's mean frontal face as a grid, on which pictures of the person can be laid over one another."""

    def __init__(self, faces: Sequence[Face]) -> None:
        """`faces`: one or more of the same person."""
        flat = np.stack([_scaled(frontal(face)[:, :2]) for face in faces])
        self.points: Floats = np.median(flat, axis=0).astype(np.float32)
        """Where the landmarks lie on the grid: float32 (468, 2)."""
        self._corners = self._triangles()
        self._triangle, self._weights = self._barycentric()

    def lay(self, picture: Floats, face: Face) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """A float32 picture (height, width) as it falls on the grid (GRID, GRID), and where it was seen there.

        Not seen is what is outside of the face, turned away from the camera, or off the picture.
        """
        landmarks = face.landmarks[:, :2].astype(np.float32)
        where = np.einsum("hwc,hwcx->hwx", self._weights, landmarks[self._corners[self._triangle]]).astype(np.float32)
        shrink = min(1.0, 2 * GRID / max(face.size, 1.0))  # a far larger face would alias
        source = (
            picture if shrink == 1 else cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        )
        x, y = np.moveaxis(where * np.float32(shrink), -1, 0)
        laid = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        height, width = picture.shape
        inside = ((where >= 0) & (where <= [width - 1, height - 1])).all(axis=-1)
        areas = _areas(landmarks[self._corners]) / np.maximum(_areas(self.points[self._corners]), 1e-3)
        seen = (areas / max(float(np.median(areas)), 1e-6))[self._triangle] > _LEAST_SEEN
        return np.asarray(laid), self.within([OVAL]) & seen & inside

    def within(self, outlines: Sequence[Sequence[int]], grown: int = 0) -> npt.NDArray[np.bool_]:
        """The grid's pixels inside any of these outlines of landmarks, `grown` pixels further out (or in, below 0)."""
        mask = np.zeros((GRID, GRID), np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [np.round(self.points[list(outline)]).astype(np.int32)], 1)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(grown) + 1,) * 2)
        return np.asarray((cv2.dilate if grown >= 0 else cv2.erode)(mask, kernel) > 0)

    def _triangles(self) -> npt.NDArray[np.int64]:
        """Delaunay triangles as landmark numbers (T, 3), all turning the same way."""
        plane = cv2.Subdiv2D((0, 0, GRID, GRID))
        number = {}
        for index, point in enumerate(self.points):
            plane.insert((float(point[0]), float(point[1])))
            number[point.tobytes()] = index
        corners = np.asarray(plane.getTriangleList(), np.float32).reshape(-1, 3, 2)
        found = [[number.get(corner.tobytes()) for corner in triangle] for triangle in corners]
        own = np.array(
            [triangle for triangle in found if None not in triangle], np.int64
        )  # the rest hang on the border
        back = _areas(self.points[own]) < 0
        own[back] = own[back][:, ::-1]
        return own

    def _barycentric(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """For each pixel its triangle (GRID, GRID), and the weights of that one's corners (GRID, GRID, 3)."""
        which = np.zeros((GRID, GRID), np.int32)
        for index, triangle in enumerate(self._corners):
            cv2.fillConvexPoly(which, np.round(self.points[triangle]).astype(np.int32), index)
        a, b, c = np.moveaxis(self.points[self._corners[which]].astype(np.float64), 2, 0)
        pixels = np.stack(np.meshgrid(np.arange(GRID), np.arange(GRID)), axis=-1).astype(np.float64)
        whole = np.maximum(_cross(b - a, c - a), 1e-9)
        second, third = _cross(pixels - a, c - a) / whole, _cross(b - a, pixels - a) / whole
        return which.astype(np.int64), np.stack([1 - second - third, second, third], axis=-1)


def _scaled(points: Floats) -> Floats:
    """Points (468, 2) moved and scaled into the grid."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = _FILL * GRID / max(float((high - low).max()), 1e-6)
    return np.asarray((points - (low + high) / 2) * scale + (GRID - 1) / 2)


def _areas(triangles: Floats) -> Floats:
    """Signed areas (T,) of triangles (T, 3, 2)."""
    return _cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
