"""Faces are found where they are, on photographs of people and on nothing else."""

import json
import os
import pickle

import cv2
import numpy as np
import pytest
import skimage.data

from likeness.errors import LikenessError
from likeness.faces import FaceFinder
from likeness.faces.blazeface import anchors, weighted_nms
from likeness.faces.networks import Network
from tests import photos

FINDER = FaceFinder()


def test_anchors_are_those_of_the_network_that_they_decode():
    centres = anchors()
    assert centres.shape == (896, 2)
    # Cell (row 3, column 5) of the 16 x 16 grid has two anchors, cell (2, 1) of the 8 x 8 grid six.
    assert np.allclose(centres[2 * (3 * 16 + 5) : 2 * (3 * 16 + 5) + 2], [5.5 / 16, 3.5 / 16])
    assert np.allclose(centres[512 + 6 * (2 * 8 + 1) : 512 + 6 * (2 * 8 + 1) + 6], [1.5 / 8, 2.5 / 8])


def test_suppression_averages_by_score():
    boxes = np.array([[0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60]], float)
    points = np.zeros((3, 6, 2))
    first, second = weighted_nms(boxes, points, np.array([0.9, 0.6, 0.7]))
    assert np.allclose(first.box, [0.8, 0, 10.8, 10])  # (0.9 * 0 + 0.6 * 2) / 1.5
    assert first.score == 0.9
    assert np.allclose(second.box, boxes[2])


def test_a_real_photograph():
    (face,) = FINDER.find(photos.astronaut())
    left, right = face.eyes  # read off the picture by eye
    assert np.allclose(left, [205, 104], atol=6)
    assert np.allclose(right, [245, 103], atol=6)
    assert abs(face.yaw) < 10 and abs(face.pitch) < 10 and abs(face.roll) < 8
    assert face.score > 0.8


@pytest.mark.parametrize("name", ["chelsea", "rocket", "coffee", "retina"])
def test_no_face_where_there_is_none(name):
    assert FINDER.find(np.ascontiguousarray(getattr(skimage.data, name)())) == []


def test_every_synthetic_person_is_found_once_whatever_the_skin_tone():
    for person in photos.people():
        for path in photos.selfies(person)[:2]:
            rgb = photos.pixels(path)
            (face,) = FINDER.find(rgb)
            assert 0.27 < face.size / len(rgb) < 0.59, path


def test_pose_follows_the_known_pose():
    known, read = [], []
    for person in photos.people()[:8]:
        shots = json.loads((person / "person.json").read_text())["shots"]
        for path in photos.selfies(person)[:5]:
            (face,) = FINDER.find(photos.pixels(path))
            known.append((shots[path.name]["yaw"], shots[path.name]["pitch"]))
            read.append((face.yaw, face.pitch))
    error = np.abs(np.array(known) - np.array(read)).mean(axis=0)
    # What a person's own face adds to the reading is on all of their pictures.
    beside = np.array([known, read]).reshape(2, 8, 5, 2)
    beside = beside - beside.mean(axis=2, keepdims=True)
    turned, nodded = (np.corrcoef(beside[..., axis].reshape(2, -1))[0, 1] for axis in (0, 1))
    assert turned > 0.8 and nodded > 0.5
    assert (error < [8, 10]).all()


def test_a_turned_picture_gives_a_turned_face():
    rgb = photos.astronaut()
    turn = cv2.getRotationMatrix2D((225, 125), -20, 1)  # OpenCV's positive angles are anticlockwise
    (face,) = FINDER.find(cv2.warpAffine(rgb, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE))
    (straight,) = FINDER.find(rgb)
    assert face.roll - straight.roll == pytest.approx(20, abs=4)


def test_small_faces_are_found_on_quarters_of_the_picture():
    rgb = np.full((1600, 1600, 3), 120, np.uint8)
    rgb[1000:1300, 200:500] = cv2.resize(photos.pixels(photos.selfies(photos.people()[0])[0]), (300, 300))
    (face,) = FINDER.find(rgb)
    assert 200 < face.centre[0] < 500 and 1000 < face.centre[1] < 1300


def test_everybody_in_a_group_is_found():
    three = [cv2.resize(photos.pixels(photos.selfies(person)[1]), (300, 300)) for person in photos.people()[:3]]
    assert len(FINDER.find(np.hstack(three))) == 3


def test_a_second_face_is_found_beside_a_far_larger_one():
    """It takes 0.4 of the first one's size: the whole picture shows it too small to the detector."""
    for first, second in zip(photos.people()[:4], photos.people()[4:8], strict=True):
        rgb = np.full((768, 768, 3), 150, np.uint8)
        for person, size, place in ((first, 230, (0, 1)), (second, 92, (1, 0))):
            shot = photos.pixels(photos.selfies(person)[0])
            scale = size / FINDER.find(shot)[0].size
            shot = cv2.resize(shot, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            high, wide = shot.shape[:2]
            rgb[place[1] * (768 - high) :][:high, place[0] * (768 - wide) :][:, :wide] = shot
        sizes = [face.size for face in FINDER.find(rgb)]
        assert len(sizes) == 2 and sizes[1] / sizes[0] == pytest.approx(0.4, abs=0.08)


def test_the_person_mask_is_on_the_person():
    rgb = photos.astronaut()
    mask = FINDER.person_mask(rgb)
    assert mask.shape == rgb.shape[:2] and mask.dtype == np.float32
    assert mask[100:165, 190:250].min() > 0.9
    assert mask[20:60, 330:380].max() < 0.1


def test_a_finder_survives_pickling_and_forking():
    rgb = photos.astronaut()
    assert len(pickle.loads(pickle.dumps(FINDER)).find(rgb)) == 1
    child = os.fork()
    if child == 0:
        os._exit(0 if len(FINDER.find(rgb)) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_missing_model_is_one_clear_line():
    with pytest.raises(LikenessError, match="missing or damaged"):
        Network("absent.tflite", ["x"])(np.zeros((1, 3, 8, 8), np.float32))
