"""Are these two pictures of one person? python examples/03_verify.py PICTURE_A PICTURE_B [FMR]."""

import sys

from qcface_sdk import FaceEngine, Outcome, read_image

path_a, path_b = sys.argv[1:3]
fmr = float(sys.argv[3]) if len(sys.argv) > 3 else 1e-4
with FaceEngine() as engine:
    first, second = engine.get_batch([read_image(path_a), read_image(path_b)])
    # A picture without a face is passed on as None: it is compared without an exception and never accepted.
    match = engine.verify(first[0] if first else None, second[0] if second else None, fmr=fmr)

print(f"similarity {match.similarity:.3f}, threshold {match.threshold:.3f} at a false-match rate of {match.fmr:g}")
print(f"quality {match.quality_a} and {match.quality_b}")
print(match.decision.value, *match.reason.names())
sys.exit(0 if match.decision is Outcome.ACCEPT else 1)
