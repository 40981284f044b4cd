// Plain C++17 kernels of the SDK: no Python, no NumPy. They check nothing; their Python callers do.
//
// Points and pixels follow one rule: whole coordinates are pixel centres, the origin is the centre of the top left
// pixel. Every function picks its instruction set at run time (simd/dispatch.hpp) and allocates only small scratch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qcface {

// BGR picture; pixels of a row lie side by side, rows are `row_stride` bytes apart (may be negative).
struct Picture {
    const std::uint8_t* pixels;
    std::ptrdiff_t row_stride;
    int width;
    int height;
};

// Per output channel: out = (value - mean) * scale.
struct Normalization {
    const float* mean;
    const float* scale;
    bool swap_rb;
};

// Least-squares similarity (rotation, one scale, shift) of each set of five points onto `reference`, as rows
// (a, -b, tx), (b, a, ty). Points without spread, or whose image has none, give NaN.
void similarity_transforms(const float* points, std::size_t count, const float* reference, double* transforms);

// Inverse-maps each transform (picture -> crop), samples bilinearly (black outside), normalises, writes CHW.
void warp_faces(const Picture& picture, const double* transforms, std::size_t count, int side,
                const Normalization& normalization, float* out);

// As warp_faces, but writes BGR HWC bytes, rounded half up.
void warp_faces_u8(const Picture& picture, const double* transforms, std::size_t count, int side, std::uint8_t* out);

// HWC bytes -> CHW floats.
void normalize_crops(const std::uint8_t* crops, std::size_t count, int side, const Normalization& normalization,
                     float* out);

// Resizes the picture into the top left new_w x new_h of three planes of out_w x out_h, zero elsewhere. An axis that
// shrinks to a half or less is averaged over area, any other is interpolated.
void letterbox(const Picture& picture, int new_w, int new_h, float* out, int out_w, int out_h);

// One stride of a YuNet head. Appends rows x1 y1 x2 y2, five points, score to `out`, never past `capacity`; returns
// the new count. Cells with a NaN score or a box or point that is not finite are left out.
std::size_t decode_stride(const float* cls, const float* obj, const float* bbox, const float* kps, std::size_t cells,
                          std::size_t cols, int stride, float score_threshold, float* out, std::size_t capacity,
                          std::size_t start);

// Greedy suppression over rows of 15; writes the kept row numbers, best score first, and returns how many.
std::size_t nms(const float* rows, std::size_t count, float iou_threshold, std::int32_t* keep);

// Symmetric per-row quantisation: out = round half to even (row / scale), scale = max |row| / 127.
void quantize_rows(const float* rows, std::size_t count, std::size_t dim, std::int8_t* out, float* scale);

// Rows of one gallery in one of three number formats; only int8 has `scale`.
struct GalleryFloat32 {
    const float* rows;
    std::size_t count;
};
struct GalleryFloat16 {
    const std::uint16_t* rows;
    std::size_t count;
};
struct GalleryInt8 {
    const std::int8_t* rows;
    const float* scale;
    std::size_t count;
};
struct ProbesFloat32 {
    const float* rows;
    std::size_t count;
};
struct ProbesInt8 {
    const std::int8_t* rows;
    const float* scale;
    std::size_t count;
};

// out[probe * gallery.count + row] = dot product.
void dot_float32(const GalleryFloat32& gallery, const ProbesFloat32& probes, std::size_t dim, float* out);
void dot_float16(const GalleryFloat16& gallery, const ProbesFloat32& probes, std::size_t dim, float* out);
void dot_int8(const GalleryInt8& gallery, const ProbesInt8& probes, std::size_t dim, float* out);

// The k best rows for each probe: score descending, ties to the lower row, NaN counts as -infinity. Places past
// gallery.count get row -1 and score -infinity.
void top_k_float32(const GalleryFloat32& gallery, const ProbesFloat32& probes, std::size_t dim, std::size_t k,
                   std::int64_t* rows_out, float* scores_out);
void top_k_float16(const GalleryFloat16& gallery, const ProbesFloat32& probes, std::size_t dim, std::size_t k,
                   std::int64_t* rows_out, float* scores_out);
void top_k_int8(const GalleryInt8& gallery, const ProbesInt8& probes, std::size_t dim, std::size_t k,
                std::int64_t* rows_out, float* scores_out);

// Name of the instruction set in use, and of the i-th one that this build and processor both have (best first;
// nullptr past the end). `active_simd` is nullptr when QCFACE_SIMD names none of them.
const char* active_simd();
const char* usable_simd(std::size_t i);

}  // namespace qcface
