"""Which changes make another embedding contract, and which do not."""

from __future__ import annotations

import hashlib

import pytest

from qcface_sdk.contract import contract_id, is_contract_id
from qcface_sdk.errors import OptionError

MASTER = "ab" * 32
PREPARATION = {"size_wh": (112, 112), "color": "RGB", "mean": (127.5,) * 3, "std": (127.5,) * 3, "layout": "NCHW"}


def test_contract_id_follows_its_published_recipe() -> None:
    text = (
        '{"dimension":512,"master_sha256":"' + MASTER + '","preprocessing":{"color":"RGB","layout":"NCHW",'
        '"mean":[127.5,127.5,127.5],"size_wh":[112.0,112.0],"std":[127.5,127.5,127.5]},"template":"arcface-112"}'
    )
    expected = "qc1-" + hashlib.sha256(text.encode()).hexdigest()[:32]
    assert contract_id(MASTER, PREPARATION, "arcface-112", 512) == expected


@pytest.mark.parametrize(
    ("master", "preparation", "template", "dimension"),
    [
        pytest.param("ac" * 32, PREPARATION, "arcface-112", 512, id="weights"),
        pytest.param(MASTER, {**PREPARATION, "color": "BGR"}, "arcface-112", 512, id="colour order"),
        pytest.param(MASTER, {**PREPARATION, "mean": (127.5, 127.5, 127.0)}, "arcface-112", 512, id="mean"),
        pytest.param(MASTER, {**PREPARATION, "std": (128.0,) * 3}, "arcface-112", 512, id="std"),
        pytest.param(MASTER, PREPARATION, "arcface-128", 512, id="template"),
        pytest.param(MASTER, PREPARATION, "arcface-112", 256, id="dimension"),
    ],
)
def test_contract_id_with_another_part_is_another(
    master: str, preparation: dict[str, object], template: str, dimension: int
) -> None:
    changed = contract_id(master, preparation, template, dimension)  # type: ignore[arg-type]
    assert changed != contract_id(MASTER, PREPARATION, "arcface-112", 512)
    assert is_contract_id(changed)


def test_contract_id_ignores_key_order_and_number_type() -> None:
    reordered = dict(reversed(list(PREPARATION.items())))
    as_lists = {**reordered, "size_wh": [112.0, 112.0], "mean": [127.5] * 3}
    assert contract_id(MASTER, as_lists, "arcface-112", 512) == contract_id(MASTER, PREPARATION, "arcface-112", 512)


@pytest.mark.parametrize("master", ["", "AB" * 32, "ab" * 31, "zz" * 32, "ab" * 32 + "\n"])
def test_contract_id_with_a_master_that_is_no_sha256_is_refused(master: str) -> None:
    with pytest.raises(OptionError, match="64 lower-case hex"):
        contract_id(master, PREPARATION, "arcface-112", 512)


@pytest.mark.parametrize("dimension", [0, -1, True, 1.5])
def test_contract_id_with_a_bad_dimension_is_refused(dimension: int) -> None:
    with pytest.raises(OptionError, match="dimension"):
        contract_id(MASTER, PREPARATION, "arcface-112", dimension)


@pytest.mark.parametrize(
    "text", ["", "qc1-", "qc2-" + "0" * 32, "qc1-" + "0" * 31, "qc1-" + "G" * 32, "x qc1-" + "0" * 32]
)
def test_is_contract_id_with_another_form_is_false(text: str) -> None:
    assert not is_contract_id(text)
