"""CUB's argmax, from the library that scripts/pack-gpu.sh makes of kernels/cub_argmax.cu."""

import ctypes
from pathlib import Path

import torch


def argmax(inputs):
    """A call that gives the largest logit's token of each row."""
    library = ctypes.CDLL(str(Path(__file__).with_name("libcub_argmax.so")))
    function = getattr(library, f"cub_argmax_{inputs.dtype}")
    pointer = ctypes.c_void_p
    function.argtypes = [pointer, ctypes.POINTER(ctypes.c_size_t), pointer, ctypes.c_int,
                         ctypes.c_int, pointer, pointer]

    def run(temporary, bytes_, logits, best):
        error = function(temporary, ctypes.byref(bytes_), logits.data_ptr(), *logits.shape,
                         best.data_ptr(), torch.cuda.current_stream().cuda_stream)
        if error:
            raise RuntimeError(f"CUB: cudaError_t {error}")

    # Token and logit of each row, four bytes each; see Best in cub_argmax.cu.
    best = torch.zeros(inputs.batch, 2, dtype=torch.int32, device=inputs.ids.device)
    bytes_ = ctypes.c_size_t()
    run(None, bytes_, inputs.logits[0], best)
    temporary = torch.empty(max(bytes_.value, 1), dtype=torch.uint8, device=best.device)

    def call(logits):
        run(temporary.data_ptr(), bytes_, logits, best)
        return best[:, 0]

    return call
