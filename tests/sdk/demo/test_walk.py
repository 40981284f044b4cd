from __future__ import annotations

import numpy as np
import pytest

from qcface_sdk.demo.corridor import Camera, draw_corridor
from qcface_sdk.demo.figure import EYE_HEIGHT, Figure, make_figure
from qcface_sdk.demo.photographs import COLLINS, HOPPER, Photograph
from qcface_sdk.demo.walk import FAR_M, NEAR_M, walk_towards_door
from qcface_sdk.errors import OptionError

RED = (0, 0, 255)


@pytest.fixture(scope="module")
def stick() -> Figure:
    """A red upright rectangle, 200 pixels to the metre, half a metre wide, eyes 20 pixels below its top."""
    colour = np.full((340, 100, 3), RED, np.uint8)
    return Figure(colour, np.ones((340, 100), np.float32), (50.0, 20.0), 200.0)


def _red(image: np.ndarray) -> np.ndarray:
    values = image.astype(int)
    return (values[..., 2] > 80) & (values[..., 0] < 40) & (values[..., 1] < 40)


def test_project_puts_the_eyes_near_the_horizon_at_any_distance() -> None:
    camera = Camera()
    for distance in (1.0, 3.0, 9.0):
        x, y = camera.project(0.0, camera.height, distance)
        assert (x, y) == (480.0, pytest.approx(0.4 * 540))


def test_project_halves_sizes_at_twice_the_distance() -> None:
    camera = Camera()
    near = camera.project(0.0, 0.0, 2.0)[1] - camera.project(0.0, 1.6, 2.0)[1]
    far = camera.project(0.0, 0.0, 4.0)[1] - camera.project(0.0, 1.6, 4.0)[1]
    assert near == pytest.approx(2 * far)


def test_draw_corridor_is_a_picture_of_the_cameras_size_and_brighter_when_near() -> None:
    corridor = draw_corridor(Camera())
    assert corridor.shape == (540, 960, 3)
    assert corridor.dtype == np.uint8
    assert corridor[500, 300:660].mean() > corridor[290, 440:520].mean()


def test_walk_towards_door_grows_by_one_factor(stick: Figure) -> None:
    frames = list(walk_towards_door(stick, 6))
    distances = [frame.distance_m for frame in frames]
    assert distances[0] == pytest.approx(FAR_M)
    assert distances[-1] == pytest.approx(NEAR_M)
    ratios = np.array(distances[:-1]) / distances[1:]
    np.testing.assert_allclose(ratios, ratios[0])


def test_walk_towards_door_shows_the_figure_at_its_true_width(stick: Figure) -> None:
    camera = Camera()
    for frame in list(walk_towards_door(stick, 7))[::3]:
        row = round(camera.project(0.0, EYE_HEIGHT - 0.2, frame.distance_m)[1])
        width = int(_red(frame.image)[row].sum())
        assert width == pytest.approx(0.5 * camera.focal / frame.distance_m, rel=0.1, abs=2)


def test_walk_towards_door_is_the_same_every_time(stick: Figure) -> None:
    for first, second in zip(walk_towards_door(stick, 2), walk_towards_door(stick, 2), strict=True):
        np.testing.assert_array_equal(first.image, second.image)


def test_walk_towards_door_blurs_every_third_frame(stick: Figure) -> None:
    blurs = [frame.blur_px > 0 for frame in walk_towards_door(stick, 6)]
    assert blurs == [False, True, False, False, True, False]


def test_walk_towards_door_without_frames_is_refused(stick: Figure) -> None:
    with pytest.raises(OptionError, match="frames"):
        next(walk_towards_door(stick, 0))


@pytest.mark.parametrize("photograph", [COLLINS, HOPPER], ids=lambda photograph: photograph.subject)
def test_make_figure_keeps_the_face_and_drops_the_background(photographs: None, photograph: Photograph) -> None:
    image = photograph.read()
    figure = make_figure(photograph, image)
    left = round(figure.eyes[0]) - photograph.eyes[0]
    x, y = photograph.eyes
    around = (slice(y - 25, y + 40), slice(x - 25 + left, x + 25 + left))
    assert (figure.alpha[around] == 1).all()
    np.testing.assert_array_equal(figure.colour[around], image[y - 25 : y + 40, x - 25 : x + 25])
    assert figure.alpha[:100, :60].max() < 0.05
    assert figure.alpha.shape[0] == round(y + EYE_HEIGHT * photograph.pixels_per_metre)
    assert 0.2 < figure.alpha.mean() < 0.7


def test_make_figure_stands_on_the_floor(photographs: None) -> None:
    figure = make_figure(COLLINS, COLLINS.read())
    rows = np.flatnonzero(figure.alpha.max(axis=1) > 0.5)
    assert figure.alpha.shape[0] - rows.max() < 0.05 * COLLINS.pixels_per_metre
    assert np.diff(rows).max() == 1
