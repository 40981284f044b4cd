"""Face alignment: similarity transforms and one-pass warping. Callers check; the GIL is released."""
from kernels cimport (
    Normalization, Picture, expect, normalize_crops as _normalize_crops, require_simd,
    similarity_transforms as _similarity_transforms, uint8_t, warp_faces as _warp_faces,
    warp_faces_u8 as _warp_faces_u8,
)

require_simd()


def similarity_transforms(const float[:, :, ::1] kps, const float[:, ::1] template, double[:, :, ::1] out):
    """Write to `out` (N, 2, 3) the least-squares similarity of each `kps` (N, 5, 2) onto `template` (5, 2)."""
    cdef size_t count = kps.shape[0]
    expect(kps.shape[1] == 5 and kps.shape[2] == 2, "kps must be (N, 5, 2)")
    expect(template.shape[0] == 5 and template.shape[1] == 2, "template must be (5, 2)")
    expect(out.shape[0] == kps.shape[0] and out.shape[1] == 2 and out.shape[2] == 3, "out must be (N, 2, 3)")
    if count == 0:
        return
    with nogil:
        _similarity_transforms(&kps[0, 0, 0], count, &template[0, 0], &out[0, 0, 0])


cdef Picture picture_of(const uint8_t[:, :, :] image) except *:
    cdef Picture picture
    expect(image.shape[2] == 3 and image.strides[1] == 3, "image must be (H, W, 3), the pixels of a row side by side")
    picture.pixels = &image[0, 0, 0]
    picture.row_stride = image.strides[0]
    picture.width = <int> image.shape[1]
    picture.height = <int> image.shape[0]
    return picture


cdef Normalization normalization_of(const float[::1] mean, const float[::1] scale, bint swap_rb) except *:
    cdef Normalization normalization
    expect(mean.shape[0] == 3 and scale.shape[0] == 3, "mean and scale must be (3,)")
    normalization.mean = &mean[0]
    normalization.scale = &scale[0]
    normalization.swap_rb = swap_rb
    return normalization


def warp_faces(const uint8_t[:, :, :] image, const double[:, :, ::1] transforms, float[:, :, :, ::1] out,
               const float[::1] mean, const float[::1] scale, bint swap_rb):
    """Write to `out` (N, 3, S, S) the normalised crops that `transforms` (N, 2, 3) cut from a BGR `image`."""
    cdef size_t count = transforms.shape[0]
    cdef int side = <int> out.shape[2]
    cdef Picture picture = picture_of(image)
    cdef Normalization normalization = normalization_of(mean, scale, swap_rb)
    expect(transforms.shape[1] == 2 and transforms.shape[2] == 3, "transforms must be (N, 2, 3)")
    expect(out.shape[0] == transforms.shape[0] and out.shape[1] == 3 and out.shape[3] == out.shape[2],
           "out must be (N, 3, S, S)")
    if count == 0 or side == 0:
        return
    with nogil:
        _warp_faces(picture, &transforms[0, 0, 0], count, side, normalization, &out[0, 0, 0, 0])


def warp_faces_u8(const uint8_t[:, :, :] image, const double[:, :, ::1] transforms, uint8_t[:, :, :, ::1] out):
    """Write to `out` (N, S, S, 3) the BGR crops that `transforms` (N, 2, 3) cut from a BGR `image`."""
    cdef size_t count = transforms.shape[0]
    cdef int side = <int> out.shape[1]
    cdef Picture picture = picture_of(image)
    expect(transforms.shape[1] == 2 and transforms.shape[2] == 3, "transforms must be (N, 2, 3)")
    expect(out.shape[0] == transforms.shape[0] and out.shape[2] == out.shape[1] and out.shape[3] == 3,
           "out must be (N, S, S, 3)")
    if count == 0 or side == 0:
        return
    with nogil:
        _warp_faces_u8(picture, &transforms[0, 0, 0], count, side, &out[0, 0, 0, 0])


def normalize_crops(const uint8_t[:, :, :, ::1] crops, float[:, :, :, ::1] out, const float[::1] mean,
                    const float[::1] scale, bint swap_rb):
    """Write to `out` (N, 3, S, S) the normalised BGR `crops` (N, S, S, 3)."""
    cdef size_t count = crops.shape[0]
    cdef int side = <int> crops.shape[1]
    cdef Normalization normalization = normalization_of(mean, scale, swap_rb)
    expect(crops.shape[2] == crops.shape[1] and crops.shape[3] == 3, "crops must be (N, S, S, 3)")
    expect(out.shape[0] == crops.shape[0] and out.shape[1] == 3 and out.shape[2] == crops.shape[1]
           and out.shape[3] == crops.shape[1], "out must be (N, 3, S, S)")
    if count == 0 or side == 0:
        return
    with nogil:
        _normalize_crops(&crops[0, 0, 0, 0], count, side, normalization, &out[0, 0, 0, 0])
