"""Every error the SDK raises on purpose, as one small tree.

::

    QCFaceError(Exception)
    ├── InputError(QCFaceError, ValueError)
    │   ├── ShapeError                  dtype, shape or memory layout of an array
    │   ├── ImageSizeError              picture too small or too large
    │   ├── ImageReadError(+OSError)    file unreadable or not a picture
    │   ├── NotFiniteError              NaN or infinity
    │   ├── DegenerateLandmarksError    five points that fix no similarity transform
    │   ├── OptionError                 an option out of range or unknown
    │   ├── TemplateFormatError         bytes that are not a template
    │   ├── EventFormatError            values that are not a door event
    │   └── ConfigError                 configuration file: unknown key, wrong value; names line and key
    ├── ModelError(QCFaceError)
    │   ├── ModelNotFoundError(+FileNotFoundError)
    │   ├── ModelFormatError            not an ONNX file, truncated, or foreign inputs and outputs
    │   ├── ManifestError               manifest missing, malformed or of an unknown schema
    │   ├── ModelHashError              a bundle file missing, extra, truncated or altered
    │   ├── SignatureError              a bundle's signature absent, altered, or of a key that is not trusted
    │   ├── CalibrationError            calibration file unreadable, malformed or of another model
    │   ├── ThresholdUnavailableError   no supported threshold for that false-match rate
    │   ├── EngineMismatchError         an engine built for another TensorRT, GPU, driver or model
    │   └── InferenceError              the runtime failed while running
    │       └── DeviceLostError         the GPU failed or vanished while running
    ├── ContractMismatchError(QCFaceError, ValueError)      embeddings of different models
    ├── BackendUnavailableError(QCFaceError, ImportError)   unknown backend or missing package
    │   └── DeviceUnavailableError      no NVIDIA driver, or no GPU
    ├── GalleryError(QCFaceError)
    │   ├── UnknownSubjectError(+KeyError)
    │   ├── DuplicateSubjectError(+ValueError)  an import brings an id that is enrolled already
    │   ├── EnrolmentRefusedError(+ValueError)  several faces, poor picture, or a person enrolled under another id
    │   ├── GalleryFormatError          foreign or corrupt file, other schema version
    │   ├── GalleryKeyError             master key missing or wrong, or a person's key gone
    │   ├── GalleryStorageError(+OSError)   read-only, disk full, locked too long
    │   └── GalleryUnreachableError(+ConnectionError)   the vector server does not answer
    ├── ApiError(QCFaceError)
    │   ├── KeyFileError                API keys: file missing, damaged or readable by others
    │   └── ApiServerError              cannot listen, or cannot use its TLS files
    ├── CameraError(QCFaceError, OSError)   cannot be reached, refuses, stalls, or gives nothing that can be decoded
    │   └── CameraAccessError(+PermissionError)     user or password refused
    ├── ServiceError(QCFaceError)       `qcface run` cannot start or go on: port in use, two services on one folder
    └── DeliveryError(QCFaceError)
        ├── EventStorageError(+OSError)     an event could not be made durable: disk full, read-only, damaged
        ├── EventTransportError(+ConnectionError)   broker or webhook: refused, bad TLS, unreachable
        └── ActuatorError               an open command was not carried out; the door stays shut
            ├── CommandExpiredError     it came too late
            └── RelayStuckError         the relay could not be released after an earlier one: the lock may be open

"No face found" is an empty tuple, not an error. Catch `QCFaceError` to catch them all; the second base lets code
that knows only the builtin (``except ValueError``) keep working.
"""

from __future__ import annotations


class QCFaceError(Exception):
    """Base of every error raised by the SDK."""


class InputError(QCFaceError, ValueError):
    """Something the caller passed in cannot be used."""


class ShapeError(InputError):
    """An array has another dtype, shape or memory layout than is needed."""


class ImageSizeError(InputError):
    """A picture is too small to hold a face or too large to be processed safely."""


class ImageReadError(InputError, OSError):
    """A file cannot be read, or what it holds is not a picture."""


class NotFiniteError(InputError):
    """A number that must be finite is NaN or infinite."""


class DegenerateLandmarksError(InputError):
    """Five landmarks that coincide or lie outside all reason fix no similarity transform."""


class OptionError(InputError):
    """An option is out of range or unknown."""


class TemplateFormatError(InputError):
    """Bytes that are not a whole, unaltered template of a known version."""


class EventFormatError(InputError):
    """Values that are not a door event of this schema, or contradict one another."""


class ConfigError(InputError):
    """A configuration file is not TOML, has an unknown key or a wrong value; the message names line and key."""


class ModelError(QCFaceError):
    """A model, its bundle or its run is at fault."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """There is no model bundle or model file at that place."""


class ModelFormatError(ModelError):
    """A file is not an ONNX model, is truncated, or has other inputs and outputs than the contract names."""


class ManifestError(ModelError):
    """A bundle's manifest is missing, malformed, contradictory or of an unknown schema."""


class ModelHashError(ModelError):
    """A file of a bundle is missing, extra, truncated or altered."""


class CalibrationError(ModelError):
    """A calibration file cannot be read, is malformed, or was measured with another model, artefact or runtime."""


class SignatureError(ModelError):
    """A bundle is not signed, its signature does not hold, or the key is not one that is trusted."""


class ThresholdUnavailableError(ModelError):
    """The bundle holds no supported threshold for that false-match rate."""


class EngineMismatchError(ModelError):
    """A TensorRT engine was built for another TensorRT, GPU, driver or model than it is to be used with."""


class InferenceError(ModelError):
    """The runtime failed while running a model, or returned something that is not an embedding."""


class DeviceLostError(InferenceError):
    """The GPU failed or vanished while running; nothing runs on it again before the process is started anew."""


class ContractMismatchError(QCFaceError, ValueError):
    """Embeddings of different embedding contracts (another model or preprocessing) cannot be compared."""


class BackendUnavailableError(QCFaceError, ImportError):
    """A backend is unknown, or the package it needs is not installed."""


class DeviceUnavailableError(BackendUnavailableError):
    """There is no NVIDIA driver, or no GPU that it can use."""


class GalleryError(QCFaceError):
    """A gallery cannot do what was asked."""


class UnknownSubjectError(GalleryError, KeyError):
    """The gallery holds no such subject."""

    # KeyError prints its message in quotes; a sentence needs none.
    __str__ = Exception.__str__


class DuplicateSubjectError(GalleryError, ValueError):
    """What is to be imported holds a subject that the gallery holds already, or the same one twice."""


class EnrolmentRefusedError(GalleryError, ValueError):
    """A picture should not be enrolled without a second look; `issues` says why, ``allow=`` overrides it."""

    def __init__(self, message: str, issues: object = None) -> None:
        super().__init__(message)
        self.issues = issues


class GalleryFormatError(GalleryError):
    """A file is not a gallery, is corrupt, or was written by another schema version."""


class GalleryKeyError(GalleryError):
    """The master key is missing, unreadable or another gallery's, or the wrapped key of a person is gone."""


class GalleryStorageError(GalleryError, OSError):
    """The gallery's storage refused: read-only, disk full, or locked too long."""


class GalleryUnreachableError(GalleryError, ConnectionError):
    """The vector server did not answer, or refused, within the tries that were allowed."""


class CameraError(QCFaceError, OSError):
    """A camera or video file cannot be reached, stalls, or gives nothing that can be decoded; holds no credentials."""


class CameraAccessError(CameraError, PermissionError):
    """A camera refuses user and password."""


class ServiceError(QCFaceError):
    """The service cannot start or go on: a port in use, or two services on one state folder."""


class DeliveryError(QCFaceError):
    """Something that had to leave the decision did not."""


class EventStorageError(DeliveryError, OSError):
    """An event could not be made durable: disk full, read-only or damaged file."""


class EventTransportError(DeliveryError, ConnectionError):
    """A broker or webhook refused, cannot be reached, or cannot be trusted (TLS)."""


class ActuatorError(DeliveryError):
    """An open command was not carried out; the door stays shut."""


class CommandExpiredError(ActuatorError):
    """An open command came after its time; it is dropped and never tried again."""


class RelayStuckError(ActuatorError):
    """A relay could not be released after an earlier command: its lock may be open, and it takes no further one."""


class ApiError(QCFaceError):
    """The REST API cannot do what was asked."""


class KeyFileError(ApiError):
    """The file of API keys is missing, damaged, readable by others, or cannot be written."""


class ApiServerError(ApiError):
    """The API cannot listen at its address, or cannot use its TLS files."""
