"""Gallery search: dot products, top-k, quantisation. Callers check; the GIL is released."""
from kernels cimport (
    GalleryFloat16, GalleryFloat32, GalleryInt8, ProbesFloat32, ProbesInt8, active_simd, dot_float16 as _dot_float16,
    dot_float32 as _dot_float32, dot_int8 as _dot_int8, expect, int8_t, int64_t, quantize_rows as _quantize_rows,
    require_simd, top_k_float16 as _top_k_float16, top_k_float32 as _top_k_float32, top_k_int8 as _top_k_int8,
    uint16_t, usable_sets,
)

require_simd()


def simd():
    """Return the name of the instruction set in use."""
    return (<bytes> active_simd()).decode()


def simd_sets():
    """Return the names of the instruction sets that this build and processor both have, best first."""
    return usable_sets()


cdef const float* floats(const float[:, ::1] rows) except? NULL:
    return &rows[0, 0] if rows.shape[0] > 0 and rows.shape[1] > 0 else NULL


cdef const uint16_t* halves(const uint16_t[:, ::1] rows) except? NULL:
    return &rows[0, 0] if rows.shape[0] > 0 and rows.shape[1] > 0 else NULL


cdef const int8_t* bytes_of(const int8_t[:, ::1] rows) except? NULL:
    return &rows[0, 0] if rows.shape[0] > 0 and rows.shape[1] > 0 else NULL


cdef const float* scales(const float[::1] scale) except? NULL:
    return &scale[0] if scale.shape[0] > 0 else NULL


cdef int expect_scores(Py_ssize_t rows, Py_ssize_t probes, const float[:, ::1] out) except -1:
    expect(out.shape[0] == probes and out.shape[1] == rows, "out must be (probes, gallery rows)")
    return 0


cdef int expect_best(Py_ssize_t probes, Py_ssize_t k, const int64_t[:, ::1] index, const float[:, ::1] score) except -1:
    expect(index.shape[0] == probes and index.shape[1] == k and score.shape[0] == probes and score.shape[1] == k,
           "index_out and score_out must be (probes, k)")
    return 0


def dot_float32(const float[:, ::1] gallery, const float[:, ::1] probes, float[:, ::1] out):
    """Write to `out` (M, N) the products of `gallery` (N, D) and `probes` (M, D)."""
    cdef GalleryFloat32 rows
    cdef ProbesFloat32 asked
    cdef size_t dim = probes.shape[1]
    expect(gallery.shape[1] == probes.shape[1], "gallery and probes must have rows of one length")
    expect_scores(gallery.shape[0], probes.shape[0], out)
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    rows.rows, rows.count = floats(gallery), gallery.shape[0]
    asked.rows, asked.count = floats(probes), probes.shape[0]
    with nogil:
        _dot_float32(rows, asked, dim, &out[0, 0])


def dot_float16(const uint16_t[:, ::1] gallery, const float[:, ::1] probes, float[:, ::1] out):
    """Write to `out` (M, N) the products of a float16 `gallery` (N, D), seen as uint16, and `probes` (M, D)."""
    cdef GalleryFloat16 rows
    cdef ProbesFloat32 asked
    cdef size_t dim = probes.shape[1]
    expect(gallery.shape[1] == probes.shape[1], "gallery and probes must have rows of one length")
    expect_scores(gallery.shape[0], probes.shape[0], out)
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    rows.rows, rows.count = halves(gallery), gallery.shape[0]
    asked.rows, asked.count = floats(probes), probes.shape[0]
    with nogil:
        _dot_float16(rows, asked, dim, &out[0, 0])


def dot_int8(const int8_t[:, ::1] gallery, const float[::1] gallery_scale, const int8_t[:, ::1] probes,
             const float[::1] probe_scale, float[:, ::1] out):
    """Write to `out` (M, N) the products of quantised `gallery` (N, D) and `probes` (M, D)."""
    cdef GalleryInt8 rows
    cdef ProbesInt8 asked
    cdef size_t dim = probes.shape[1]
    expect(gallery.shape[1] == probes.shape[1], "gallery and probes must have rows of one length")
    expect(gallery_scale.shape[0] == gallery.shape[0] and probe_scale.shape[0] == probes.shape[0],
           "there must be one scale a row")
    expect_scores(gallery.shape[0], probes.shape[0], out)
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    rows.rows, rows.scale, rows.count = bytes_of(gallery), scales(gallery_scale), gallery.shape[0]
    asked.rows, asked.scale, asked.count = bytes_of(probes), scales(probe_scale), probes.shape[0]
    with nogil:
        _dot_int8(rows, asked, dim, &out[0, 0])


def top_k_float32(const float[:, ::1] gallery, const float[:, ::1] probes, size_t k, int64_t[:, ::1] index_out,
                  float[:, ::1] score_out):
    """Write to `index_out` and `score_out` (M, k) the best rows of `gallery` (N, D) for each of `probes` (M, D)."""
    cdef GalleryFloat32 rows
    cdef ProbesFloat32 asked
    cdef size_t dim = probes.shape[1]
    expect(gallery.shape[1] == probes.shape[1], "gallery and probes must have rows of one length")
    expect_best(probes.shape[0], <Py_ssize_t> k, index_out, score_out)
    if probes.shape[0] == 0 or k == 0:
        return
    rows.rows, rows.count = floats(gallery), gallery.shape[0]
    asked.rows, asked.count = floats(probes), probes.shape[0]
    with nogil:
        _top_k_float32(rows, asked, dim, k, &index_out[0, 0], &score_out[0, 0])


def top_k_float16(const uint16_t[:, ::1] gallery, const float[:, ::1] probes, size_t k, int64_t[:, ::1] index_out,
                  float[:, ::1] score_out):
    """As top_k_float32, for a float16 `gallery` (N, D) seen as uint16."""
    cdef GalleryFloat16 rows
    cdef ProbesFloat32 asked
    cdef size_t dim = probes.shape[1]
    expect(gallery.shape[1] == probes.shape[1], "gallery and probes must have rows of one length")
    expect_best(probes.shape[0], <Py_ssize_t> k, index_out, score_out)
    if probes.shape[0] == 0 or k == 0:
        return
    rows.rows, rows.count = halves(gallery), gallery.shape[0]
    asked.rows, asked.count = floats(probes), probes.shape[0]
    with nogil:
        _top_k_float16(rows, asked, dim, k, &index_out[0, 0], &score_out[0, 0])


def top_k_int8(const int8_t[:, ::1] gallery, const float[::1] gallery_scale, const int8_t[:, ::1] probes,
               const float[::1] probe_scale, size_t k, int64_t[:, ::1] index_out, float[:, ::1] score_out):
    """As top_k_float32, for quantised `gallery` (N, D) and `probes` (M, D)."""
    cdef GalleryInt8 rows
    cdef ProbesInt8 asked
    cdef size_t dim = probes.shape[1]
    expect(gallery.shape[1] == probes.shape[1], "gallery and probes must have rows of one length")
    expect(gallery_scale.shape[0] == gallery.shape[0] and probe_scale.shape[0] == probes.shape[0],
           "there must be one scale a row")
    expect_best(probes.shape[0], <Py_ssize_t> k, index_out, score_out)
    if probes.shape[0] == 0 or k == 0:
        return
    rows.rows, rows.scale, rows.count = bytes_of(gallery), scales(gallery_scale), gallery.shape[0]
    asked.rows, asked.scale, asked.count = bytes_of(probes), scales(probe_scale), probes.shape[0]
    with nogil:
        _top_k_int8(rows, asked, dim, k, &index_out[0, 0], &score_out[0, 0])


def quantize_rows(const float[:, ::1] rows, int8_t[:, ::1] out, float[::1] scale):
    """Write to `out` (N, D) and `scale` (N,) the symmetric per-row quantisation of `rows` (N, D)."""
    cdef size_t count = rows.shape[0]
    cdef size_t dim = rows.shape[1]
    expect(out.shape[0] == rows.shape[0] and out.shape[1] == rows.shape[1] and scale.shape[0] == rows.shape[0],
           "out must be (N, D) like rows, scale (N,)")
    if count == 0 or dim == 0:
        return
    with nogil:
        _quantize_rows(&rows[0, 0], count, dim, &out[0, 0], &scale[0])
