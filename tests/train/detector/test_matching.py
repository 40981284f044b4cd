"""Recall, false positives and landmark error on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qcface_train.detector.layout import Detections
from qcface_train.detector.matching import (
    count_false,
    landmark_error,
    landmark_errors,
    match_picture,
    recall_of_sizes,
    reliable_range,
    threshold_for_false_count,
)

BOX = [10.0, 10.0, 50.0, 60.0]
POINTS = np.array([[20, 25], [40, 25], [30, 35], [22, 48], [38, 48]], np.float32)


def detections(*boxes: list[float], scores: list[float]) -> Detections:
    return Detections(
        np.array(scores, np.float32),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.repeat(POINTS[None], len(boxes), axis=0),
    )


def match(found: Detections, ignore: list[list[float]] | None = None):
    return match_picture(
        found, np.array([BOX], np.float32), POINTS[None], np.array(ignore or [], np.float32).reshape(-1, 4), (100, 100)
    )


def test_match_picture_right_box_is_found_without_error() -> None:
    result = match(detections(BOX, scores=[0.8]))
    assert result.truth_scores.tolist() == pytest.approx([0.8])
    assert result.landmark_errors.tolist() == [0.0]
    assert result.false_scores.size == 0


def test_match_picture_second_detection_of_a_face_is_false() -> None:
    result = match(detections(BOX, BOX, scores=[0.8, 0.7]))
    assert result.false_scores.tolist() == pytest.approx([0.7])


def test_match_picture_detection_on_ignored_box_counts_neither_way() -> None:
    elsewhere = [70.0, 70.0, 90.0, 90.0]
    result = match(detections(elsewhere, scores=[0.9]), ignore=[elsewhere])
    assert np.isnan(result.truth_scores).all()
    assert result.false_scores.size == 0


def test_match_picture_box_beyond_the_edge_is_clipped_first() -> None:
    found = Detections(np.ones(1, np.float32), np.array([[-100, 0, 100, 100]], np.float32), POINTS[None])
    truth = np.array([[0, 0, 100, 100]], np.float32)
    result = match_picture(found, truth, POINTS[None], np.zeros((0, 4), np.float32), (100, 100))
    assert result.truth_scores.tolist() == [1.0]


def test_match_picture_without_labels_counts_all_as_false() -> None:
    none = np.zeros((0, 4), np.float32)
    result = match_picture(detections(BOX, scores=[0.5]), none, np.zeros((0, 5, 2), np.float32), none, (100, 100))
    assert result.false_scores.tolist() == [0.5]


def test_landmark_error_all_points_off_by_a_tenth_of_the_eyes() -> None:
    assert landmark_error(POINTS + np.array([2.0, 0.0], np.float32), POINTS) == pytest.approx(0.1)


def test_counts_respect_threshold_and_size() -> None:
    matches = [match(detections(BOX, scores=[0.8])), match(detections(BOX, scores=[0.4])), match(detections(scores=[]))]
    assert recall_of_sizes(matches, 0.5, 24, np.inf).recall == pytest.approx(1 / 3)
    assert recall_of_sizes(matches, 0.3, 40, 41).found == 2
    assert recall_of_sizes(matches, 0.5, 41, np.inf).labelled == 0
    assert landmark_errors(matches, 0.5, 24).tolist() == [0.0]


def test_threshold_for_false_count_is_the_lowest_that_allows_no_more() -> None:
    wrong = [[60.0, 60.0, 90.0, 90.0], [0.0, 70.0, 20.0, 95.0]]
    matches = [match(detections(*wrong, scores=[0.745, 0.305]))]
    assert threshold_for_false_count(matches, 1) == pytest.approx(0.31)
    assert threshold_for_false_count(matches, 0) == pytest.approx(0.75)
    assert count_false(matches, 0.31) == 1


def test_count_false_of_a_least_size_leaves_small_ones_out() -> None:
    matches = [match(detections([60.0, 60.0, 90.0, 90.0], [0.0, 70.0, 20.0, 95.0], scores=[0.9, 0.8]))]
    assert count_false(matches, 0.5) == 2
    assert count_false(matches, 0.5, 24) == 1
    assert threshold_for_false_count(matches, 0, least=31) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("recalls", "expected"),
    [([0.5, 0.96, 0.99, 0.97, 0.2], (20, 40)), ([0.99, 0.1, 0.96, 0.96, 0.96], (30, 50)), ([0.1] * 5, None)],
    ids=["middle", "longest-run", "none"],
)
def test_reliable_range_is_the_longest_good_run(recalls: list[float], expected: tuple[int, int] | None) -> None:
    assert reliable_range([10, 20, 30, 40, 50], recalls, 0.95) == expected
