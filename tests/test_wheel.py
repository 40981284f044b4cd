"""The built wheel holds the SDK and nothing else, and works where no tool of ours is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("scikit_build_core", reason="the build tools come with the dev extra")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, f"-Cbuild-dir={folder}/build", str(REPOSITORY)], check=True, timeout=300)
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_sdk_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "qcface_sdk",
        next(name.split("/")[0] for name in names if "dist-info" in name),
    }
    for wanted in ("py.typed", "weights/default/manifest.json", "_native/match.pyi", "engine.py"):
        assert f"qcface_sdk/{wanted}" in names
    assert not [name for name in names if name.endswith((".pyx", ".cpp", ".hpp"))]


def test_wheel_is_stable_abi_from_3_11_on(wheel: Path) -> None:
    if sys.version_info < (3, 11):
        assert "cp310-cp310" in wheel.name
    else:
        assert "cp311-abi3" in wheel.name


def test_wheel_runs_from_its_own_folder(wheel: Path, tmp_path: Path, astronaut_path: Path) -> None:
    """Unpacked beside the dependencies of this environment, with the checkout out of reach."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in repr(finder).lower()]\n"
        "import qcface_sdk\n"
        f"assert qcface_sdk.__file__.startswith({str(site)!r}), qcface_sdk.__file__\n"
        f"print(len(qcface_sdk.FaceEngine().get(qcface_sdk.read_image({str(astronaut_path)!r}))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "1", done.stderr
