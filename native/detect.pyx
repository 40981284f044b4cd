"""Detector input and output: letterbox, decoding, suppression. Callers check; the GIL is released."""
from kernels cimport (
    Picture, decode_stride, expect, int32_t, letterbox as _letterbox, nms as _nms, require_simd, uint8_t,
)

require_simd()


def letterbox(const uint8_t[:, :, :] image, float[:, :, ::1] out, int new_w, int new_h):
    """Resize a BGR `image` into the top left `new_w` x `new_h` of `out` (3, h, w); zero elsewhere."""
    cdef Picture picture
    cdef int out_h = <int> out.shape[1]
    cdef int out_w = <int> out.shape[2]
    expect(image.shape[2] == 3 and image.strides[1] == 3, "image must be (H, W, 3), the pixels of a row side by side")
    expect(out.shape[0] == 3 and 0 < new_w <= out_w and 0 < new_h <= out_h, "the new size must fit into out (3, h, w)")
    picture.pixels = &image[0, 0, 0]
    picture.row_stride = image.strides[0]
    picture.width = <int> image.shape[1]
    picture.height = <int> image.shape[0]
    with nogil:
        _letterbox(picture, new_w, new_h, &out[0, 0, 0], out_w, out_h)


def decode(const float[::1] cls, const float[::1] obj, const float[::1] bbox, const float[::1] kps, size_t cols,
           int stride, float score_threshold, float[:, ::1] out, size_t start):
    """Append one stride's faces to `out` (M, 15) after row `start`; return the new number of rows, at most M."""
    cdef size_t cells = cls.shape[0]
    cdef size_t capacity = out.shape[0]
    cdef size_t count
    expect(obj.shape[0] == cls.shape[0] and bbox.shape[0] == 4 * cls.shape[0] and kps.shape[0] == 10 * cls.shape[0],
           "cls, obj, bbox and kps must hold 1, 1, 4 and 10 numbers a cell")
    expect(out.shape[1] == 15 and start <= capacity and cols > 0, "out must be (M, 15), start at most M, cols positive")
    if cells == 0 or start >= capacity:
        return start
    with nogil:
        count = decode_stride(&cls[0], &obj[0], &bbox[0], &kps[0], cells, cols, stride, score_threshold, &out[0, 0],
                              capacity, start)
    return count


def nms(const float[:, ::1] rows, float iou_threshold, int32_t[::1] keep):
    """Write to `keep` the rows that survive greedy suppression, best score first; return how many."""
    cdef size_t count = rows.shape[0]
    cdef size_t kept
    expect(rows.shape[1] == 15 and keep.shape[0] >= rows.shape[0], "rows must be (n, 15), keep at least (n,)")
    if count == 0:
        return 0
    with nogil:
        kept = _nms(&rows[0, 0], count, iou_threshold, &keep[0])
    return kept
