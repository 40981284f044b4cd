#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.hpp"
#include "simd/picture.hpp"

namespace qcface {
namespace {

constexpr double kFarAway = 1e8;  // farther than any picture reaches, near enough for an int

// The inverse of a similarity or any other invertible 2x3 transform: crop -> picture.
struct CropToPicture {
    double xx, xy, x0, yx, yy, y0;

    explicit CropToPicture(const double* t) {
        const double determinant = t[0] * t[4] - t[1] * t[3];
        xx = t[4] / determinant;
        xy = -t[1] / determinant;
        yx = -t[3] / determinant;
        yy = t[0] / determinant;
        x0 = -(xx * t[2] + xy * t[5]);
        y0 = -(yx * t[2] + yy * t[5]);
    }

    SampleLine line(int crop_row) const {
        // fmin and fmax turn NaN into a limit.
        const double x = std::fmin(std::fmax(xy * crop_row + x0, -kFarAway), kFarAway);
        const double y = std::fmin(std::fmax(yy * crop_row + y0, -kFarAway), kFarAway);
        const double column = std::floor(x);
        const double row = std::floor(y);
        return {static_cast<int>(column),     static_cast<int>(row),       static_cast<float>(x - column),
                static_cast<float>(y - row), static_cast<float>(xx), static_cast<float>(yx)};
    }
};

// Source channel (blue, green, red) -> output plane.
int plane_of(int channel, bool swap_rb) { return swap_rb ? 2 - channel : channel; }

}  // namespace

void warp_faces(const Picture& picture, const double* transforms, std::size_t count, int side,
                const Normalization& normalization, float* out) {
    const PictureKernels& kernels = picture_kernels();
    const std::size_t plane = static_cast<std::size_t>(side) * side;
    for (std::size_t n = 0; n < count; ++n, out += 3 * plane) {
        const CropToPicture map(transforms + 6 * n);
        PlanarRow target;
        for (int c = 0; c < 3; ++c) {
            const int to = plane_of(c, normalization.swap_rb);
            target.plane[c] = out + plane * to;
            target.mean[c] = normalization.mean[to];
            target.scale[c] = normalization.scale[to];
        }
        for (int row = 0; row < side; ++row) {
            kernels.sample_row(picture, map.line(row), side, target);
            for (float*& p : target.plane) p += side;
        }
    }
}

void warp_faces_u8(const Picture& picture, const double* transforms, std::size_t count, int side, std::uint8_t* out) {
    const PictureKernels& kernels = picture_kernels();
    std::vector<float> samples(static_cast<std::size_t>(side) * 3);
    float* const blue = samples.data();
    // Half a level up here, cut off below: rounds half up.
    const PlanarRow target = {{blue, blue + side, blue + 2 * side}, {-0.5f, -0.5f, -0.5f}, {1.0f, 1.0f, 1.0f}};
    for (std::size_t n = 0; n < count; ++n) {
        const CropToPicture map(transforms + 6 * n);
        for (int row = 0; row < side; ++row, out += 3 * side) {
            kernels.sample_row(picture, map.line(row), side, target);
            for (int i = 0; i < side; ++i) {
                for (int c = 0; c < 3; ++c) out[3 * i + c] = static_cast<std::uint8_t>(target.plane[c][i]);
            }
        }
    }
}

void normalize_crops(const std::uint8_t* crops, std::size_t count, int side, const Normalization& normalization,
                     float* out) {
    const std::size_t plane = static_cast<std::size_t>(side) * side;
    // A byte has 256 values: looking them up is faster than converting each.
    float table[3][256];
    std::size_t to[3];
    for (int c = 0; c < 3; ++c) {
        const int channel = plane_of(c, normalization.swap_rb);
        to[c] = plane * channel;
        for (int value = 0; value < 256; ++value) {
            const float mean = normalization.mean[channel];
            table[c][value] = (static_cast<float>(value) - mean) * normalization.scale[channel];
        }
    }
    for (std::size_t n = 0; n < count; ++n, crops += 3 * plane, out += 3 * plane) {
        for (std::size_t i = 0; i < plane; ++i) {
            for (int c = 0; c < 3; ++c) out[to[c] + i] = table[c][crops[3 * i + c]];
        }
    }
}

}  // namespace qcface
