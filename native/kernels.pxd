# The C++ declarations, once. What each function does stands in kernels.hpp.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t
from libcpp cimport bool as cbool


cdef extern from "kernels.hpp" namespace "qcface" nogil:
    cdef struct Picture:
        const uint8_t* pixels
        ptrdiff_t row_stride
        int width
        int height

    cdef struct Normalization:
        const float* mean
        const float* scale
        cbool swap_rb

    void similarity_transforms(const float* points, size_t count, const float* reference, double* transforms)
    void warp_faces(const Picture& picture, const double* transforms, size_t count, int side,
                    const Normalization& normalization, float* out)
    void warp_faces_u8(const Picture& picture, const double* transforms, size_t count, int side,
                       uint8_t* out) except +
    void normalize_crops(const uint8_t* crops, size_t count, int side, const Normalization& normalization, float* out)

    void letterbox(const Picture& picture, int new_w, int new_h, float* out, int out_w, int out_h) except +
    size_t decode_stride(const float* cls, const float* obj, const float* bbox, const float* kps, size_t cells,
                         size_t cols, int stride, float score_threshold, float* out, size_t capacity, size_t start)
    size_t nms(const float* rows, size_t count, float iou_threshold, int32_t* keep) except +

    cdef struct GalleryFloat32:
        const float* rows
        size_t count

    cdef struct GalleryFloat16:
        const uint16_t* rows
        size_t count

    cdef struct GalleryInt8:
        const int8_t* rows
        const float* scale
        size_t count

    cdef struct ProbesFloat32:
        const float* rows
        size_t count

    cdef struct ProbesInt8:
        const int8_t* rows
        const float* scale
        size_t count

    void dot_float32(const GalleryFloat32& gallery, const ProbesFloat32& probes, size_t dim, float* out) except +
    void dot_float16(const GalleryFloat16& gallery, const ProbesFloat32& probes, size_t dim, float* out) except +
    void dot_int8(const GalleryInt8& gallery, const ProbesInt8& probes, size_t dim, float* out) except +
    void top_k_float32(const GalleryFloat32& gallery, const ProbesFloat32& probes, size_t dim, size_t k,
                       int64_t* rows_out, float* scores_out) except +
    void top_k_float16(const GalleryFloat16& gallery, const ProbesFloat32& probes, size_t dim, size_t k,
                       int64_t* rows_out, float* scores_out) except +
    void top_k_int8(const GalleryInt8& gallery, const ProbesInt8& probes, size_t dim, size_t k,
                    int64_t* rows_out, float* scores_out) except +
    void quantize_rows(const float* rows, size_t count, size_t dim, int8_t* out, float* scale)

    const char* active_simd()
    const char* usable_simd(size_t i)


cdef extern from *:
    """
    #ifdef QCFACE_CHECKS
    #define QCFACE_CHECKS_ON 1
    #else
    #define QCFACE_CHECKS_ON 0
    #endif
    """
    const bint QCFACE_CHECKS_ON


cdef inline int expect(bint agree, str what) except -1:
    """In a checks build, raise IndexError unless the shapes agree; in any other, vanish."""
    if QCFACE_CHECKS_ON and not agree:
        raise IndexError(what)
    return 0


cdef inline int require_simd() except -1:
    """Raise ImportError if QCFACE_SIMD names an instruction set that cannot be used."""
    if active_simd() == NULL:
        raise ImportError(f"QCFACE_SIMD must name one of {usable_sets()} on this processor; change or unset it")
    return 0


cdef inline tuple usable_sets():
    cdef list names = []
    while usable_simd(len(names)) != NULL:
        names.append((<bytes> usable_simd(len(names))).decode())
    return tuple(names)
