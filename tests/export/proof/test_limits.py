from __future__ import annotations

from pathlib import Path

import pytest

from qcface_export.errors import ExportError
from qcface_export.proof import read_limits
from qcface_export.proof.limits import Limit


def test_read_limits_gives_each_figure_a_reason_and_a_next_step() -> None:
    limits = read_limits()
    assert {"cosine_mean", "norm_error_p95", "magnitude_spearman", "ladder_spearman_loss", "tar_loss"} <= set(limits)
    assert all(len(limit.reason) > 20 and len(limit.next_step) > 10 for limit in limits.values())


def test_limits_are_those_of_the_issue() -> None:
    limits = read_limits()
    wanted = {"cosine_mean": 0.999, "cosine_min": 0.99, "norm_error_p95": 0.01, "magnitude_spearman": 0.999}
    wanted |= {
        "ladder_spearman_loss": 0.01,
        "ladder_spearman_loss_worst": 0.01,
        "edc_area_loss": 0.02,
        "tar_loss": 0.003,
    }
    assert {name: limits[name].value for name in wanted} == wanted


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [("at_least", 0.5, 0.4), ("at_most", 0.5, 0.6), ("within", -0.5, -0.6), ("within", 0.5, 0.6)],
)
def test_limit_allows_its_own_value_and_not_beyond(kind: str, inside: float, outside: float) -> None:
    limit = Limit(kind, 0.5, "", "")
    assert limit.allows(inside)
    assert not limit.allows(outside)
    assert not limit.allows(float("nan"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "cannot be read"),
        ("[a]\nat_most = 1\nreason = 'x'", r"\[a\] must hold reason, next_step"),
        ("[a]\nat_most = 1\nat_least = 2\nreason = 'x'\nnext_step = 'y'", "must hold"),
        ("[a]\nat_most = 'one'\nreason = 'x'\nnext_step = 'y'", "a.at_most must be a number"),
        ("[a]\nat_most = 1\nleast_faces = -1\nreason = 'x'\nnext_step = 'y'", "a.least_faces must be a whole number"),
        ("[a]\nat_most = 1\nmost_faces = 1\nreason = 'x'\nnext_step = 'y'", "must hold"),
        ("a = 1", "must hold"),
        ("[cosin_mean]\nat_least = 1\nreason = 'x'\nnext_step = 'y'", "there is no figure cosin_mean"),
    ],
)
def test_read_limits_of_a_bad_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "limits.toml").write_text(text)
    with pytest.raises(ExportError, match=message):
        read_limits(tmp_path / "limits.toml")
