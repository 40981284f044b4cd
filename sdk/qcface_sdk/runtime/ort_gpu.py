"""ONNX Runtime on an NVIDIA GPU.

ONNX Runtime goes on silently on the CPU when a GPU's libraries do not load. Here that is an error: whoever chose the
GPU hears about it, and `qcface_sdk.selection` decides what runs instead.
"""

from __future__ import annotations

from qcface_sdk.errors import BackendUnavailableError
from qcface_sdk.runtime.cuda_device import find_cuda_device
from qcface_sdk.runtime.ort import OrtRunner, Provider
from qcface_sdk.user_cache import user_cache_folder

# TF32 keeps 10 bits of mantissa; the thresholds of an FP32 file were measured with 23.
_CUDA: Provider = ("CUDAExecutionProvider", {"device_id": "0", "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
_CPU: Provider = "CPUExecutionProvider"


class OrtCudaRunner(OrtRunner):
    """A model in ONNX Runtime's CUDA provider; thread-safe.

    Parameters
    ----------
    model : bytes
        The ONNX file.
    threads : int, default 1
        Threads for what stays on the CPU.

    Raises
    ------
    DeviceUnavailableError
        If there is no GPU.
    BackendUnavailableError
        If this ONNX Runtime has no CUDA provider, or it does not load.
    ModelFormatError
        If `model` is not an ONNX file that this ONNX Runtime can load.
    """

    name = "onnxruntime-cuda"

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        find_cuda_device()
        super().__init__(model, threads=threads, providers=[_CUDA, _CPU])
        _check_in_use(self, "CUDAExecutionProvider")


class OrtTensorRtRunner(OrtRunner):
    """A model in ONNX Runtime's TensorRT provider, which builds an engine at load and keeps it in the user's cache.

    Parameters and errors are those of `OrtCudaRunner`.
    """

    name = "onnxruntime-tensorrt"

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        find_cuda_device()
        options = {
            "device_id": "0",
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(user_cache_folder() / "onnxruntime-tensorrt"),
        }
        super().__init__(model, threads=threads, providers=[("TensorrtExecutionProvider", options), _CUDA, _CPU])
        _check_in_use(self, "TensorrtExecutionProvider")


def _check_in_use(runner: OrtRunner, provider: str) -> None:
    if provider not in runner.providers:
        runner.close()
        raise BackendUnavailableError(
            f"ONNX Runtime could not start {provider} and would run on the CPU; install the CUDA and cuDNN that this "
            "onnxruntime-gpu wants, see the first lines it printed"
        )
