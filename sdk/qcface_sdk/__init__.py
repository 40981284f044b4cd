"""QCFace SDK: who it is, and how well the picture shows it.

::

    from qcface_sdk import FaceEngine, read_image

    engine = FaceEngine()
    faces = engine.get(read_image("photo.jpg"))     # largest first
    faces[0].embedding, faces[0].quality            # direction = identity, length = recognizability

Conventions, the same everywhere:

* A picture is a BGR uint8 array (H, W, 3). Rows may be strided, so a crop of a frame needs no copy.
* A point is (x, y) in pixels; whole numbers are pixel centres. A box is x1, y1, x2, y2. A size is (width, height).
* Landmarks: left eye, right eye, nose, left and right mouth corner, *as seen in the picture*.
* Scores: higher is better. Similarity is a cosine in -1..1, quality 0..100, recognizability 0..1.
* No face is an empty tuple. Everything else that goes wrong is a `QCFaceError`.
"""

from qcface_sdk.alignment import align
from qcface_sdk.bundle import Bundle
from qcface_sdk.calibration import Calibration
from qcface_sdk.decision import Decision
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import (
    ActuatorError,
    ApiError,
    ApiServerError,
    BackendUnavailableError,
    CalibrationError,
    CameraAccessError,
    CameraError,
    CommandExpiredError,
    ConfigError,
    ContractMismatchError,
    DegenerateLandmarksError,
    DeliveryError,
    DeviceLostError,
    DeviceUnavailableError,
    DuplicateSubjectError,
    EngineMismatchError,
    EnrolmentRefusedError,
    EventFormatError,
    EventStorageError,
    EventTransportError,
    GalleryError,
    GalleryFormatError,
    GalleryKeyError,
    GalleryStorageError,
    GalleryUnreachableError,
    ImageReadError,
    ImageSizeError,
    InferenceError,
    InputError,
    KeyFileError,
    ManifestError,
    ModelError,
    ModelFormatError,
    ModelHashError,
    ModelNotFoundError,
    NotFiniteError,
    OptionError,
    QCFaceError,
    RelayStuckError,
    ServiceError,
    ShapeError,
    SignatureError,
    TemplateFormatError,
    ThresholdUnavailableError,
    UnknownSubjectError,
)
from qcface_sdk.fusion import Fusion
from qcface_sdk.gallery import Gallery
from qcface_sdk.geometry import REFERENCE_POINTS
from qcface_sdk.image import decode_image, read_image
from qcface_sdk.quality import QualityReport, Reading, Status
from qcface_sdk.recognizability import recognizability
from qcface_sdk.results import Candidate, Face, Identification, Match, Outcome, Reason
from qcface_sdk.search import SearchThreshold
from qcface_sdk.template import Template

__all__ = [
    "REFERENCE_POINTS",
    "ActuatorError",
    "ApiError",
    "ApiServerError",
    "BackendUnavailableError",
    "Bundle",
    "Calibration",
    "CalibrationError",
    "CameraAccessError",
    "CameraError",
    "Candidate",
    "CommandExpiredError",
    "ConfigError",
    "ContractMismatchError",
    "Decision",
    "DegenerateLandmarksError",
    "DeliveryError",
    "DeviceLostError",
    "DeviceUnavailableError",
    "DuplicateSubjectError",
    "EngineMismatchError",
    "EnrolmentRefusedError",
    "EventFormatError",
    "EventStorageError",
    "EventTransportError",
    "Face",
    "FaceEngine",
    "Fusion",
    "Gallery",
    "GalleryError",
    "GalleryFormatError",
    "GalleryKeyError",
    "GalleryStorageError",
    "GalleryUnreachableError",
    "Identification",
    "ImageReadError",
    "ImageSizeError",
    "InferenceError",
    "InputError",
    "KeyFileError",
    "ManifestError",
    "Match",
    "ModelError",
    "ModelFormatError",
    "ModelHashError",
    "ModelNotFoundError",
    "NotFiniteError",
    "OptionError",
    "Outcome",
    "QCFaceError",
    "QualityReport",
    "Reading",
    "Reason",
    "RelayStuckError",
    "SearchThreshold",
    "ServiceError",
    "ShapeError",
    "SignatureError",
    "Status",
    "Template",
    "TemplateFormatError",
    "ThresholdUnavailableError",
    "UnknownSubjectError",
    "align",
    "decode_image",
    "read_image",
    "recognizability",
]

__version__ = "0.5.0"
