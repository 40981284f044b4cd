"""TensorRT engines out of a bundle: typed files, proof on the CPU, engines, proof on the GPU, and a new bundle."""

from qcface_export.tensorrt.engines import BuiltFile, build_on_gpu
from qcface_export.tensorrt.install import install
from qcface_export.tensorrt.request import Request
from qcface_export.tensorrt.typed_files import TypedFiles, make_typed_files

__all__ = ["BuiltFile", "Request", "TypedFiles", "build_on_gpu", "install", "make_typed_files"]
