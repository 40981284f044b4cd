"""The embedding contract: which templates may be compared with each other.

Two embeddings are comparable only if the same trained weights saw faces prepared in the same way. The contract id
hashes exactly that: the FP32 master's file bytes, the input preparation, the alignment template and the dimension.

Why the bytes of the master file and not its weights: a hash over weights must pick an order and a numeric form of its
own, and misses a changed graph (another activation, another epsilon). The file is written once, at export; every
FP16 or INT8 artefact made from it, and every rewrite of its graph, carries the *master's* SHA-256 in the manifest
and so keeps the contract. Exporting the same checkpoint again may give other bytes and so another contract: that errs
on the safe side (people are enrolled again, never compared wrongly).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from qcface_sdk.errors import OptionError

_PREFIX = "qc1-"
_PATTERN = re.compile(r"qc1-[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_contract_id(text: str) -> bool:
    """Return whether `text` has the form of a contract id, ``qc1-`` and 32 lower-case hex digits."""
    return _PATTERN.fullmatch(text) is not None


def contract_id(
    master_sha256: str,
    preprocessing: Mapping[str, str | Sequence[float]],
    template: str,
    dimension: int,
) -> str:
    """Compute the id of an embedding contract.

    Parameters
    ----------
    master_sha256 : str
        SHA-256 of the FP32 master ONNX file, 64 lower-case hex digits.
    preprocessing : mapping
        How pixels become network input: `size_wh`, `color`, `mean`, `std`, `layout`. Numbers count as floats, so 112
        and 112.0 are the same.
    template : str
        Name of the alignment template, such as ``arcface-112``. A name stands for one set of points for ever.
    dimension : int
        Length of an embedding.

    Returns
    -------
    str
        ``qc1-`` and 32 hex digits: the first 128 bits of a SHA-256.

    Raises
    ------
    OptionError
        If `master_sha256` is not a SHA-256 or `dimension` is not positive.

    Examples
    --------
    >>> contract_id("0" * 64, {"color": "RGB"}, "arcface-112", 512)
    'qc1-6ec112a41bb7e243f9b10deb2a2108d5'
    """
    if _SHA256.fullmatch(master_sha256) is None:
        raise OptionError(f"master_sha256 must be 64 lower-case hex digits, got {master_sha256!r}")
    if isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 1:
        raise OptionError(f"dimension must be a whole number of at least 1, got {dimension!r}")
    canonical = {
        "dimension": dimension,
        "master_sha256": master_sha256,
        "preprocessing": {
            key: value if isinstance(value, str) else [float(number) for number in value]
            for key, value in preprocessing.items()
        },
        "template": template,
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return _PREFIX + hashlib.sha256(text.encode("ascii")).hexdigest()[:32]
