// One bilinear sample in plain C++: the whole of the portable kernel, and what the others do near a picture's border.
//
// Included by files built for different instruction sets, so nothing here may be shared by the linker: internal linkage,
// and no inline function of the standard library (an unoptimised build would emit std::floor once for all of them).
#pragma once

#include <math.h>

#include <cstddef>
#include <cstdint>

#include "picture.hpp"

namespace qcface {
namespace {

// Farther than any picture reaches, near enough for an int.
constexpr float kFar = 1e8f;

// NaN becomes a limit.
inline float bounded(float value) {
    if (!(value > -kFar)) return -kFar;
    return value < kFar ? value : kFar;
}

inline float pixel_value(const Picture& picture, int column, int row, int channel) {
    if (column < 0 || column >= picture.width || row < 0 || row >= picture.height) return 0.0f;
    return picture.pixels[row * picture.row_stride + std::ptrdiff_t{column} * 3 + channel];
}

inline void sample_one(const Picture& picture, const SampleLine& line, int i, const PlanarRow& out) {
    const float x = bounded(line.x + static_cast<float>(i) * line.step_x);
    const float y = bounded(line.y + static_cast<float>(i) * line.step_y);
    const float floor_x = floorf(x);
    const float floor_y = floorf(y);
    const float fx = x - floor_x;
    const float fy = y - floor_y;
    const int column = line.column + static_cast<int>(floor_x);
    const int row = line.row + static_cast<int>(floor_y);
    for (int c = 0; c < 3; ++c) {
        const float top_left = pixel_value(picture, column, row, c);
        const float top_right = pixel_value(picture, column + 1, row, c);
        const float bottom_left = pixel_value(picture, column, row + 1, c);
        const float bottom_right = pixel_value(picture, column + 1, row + 1, c);
        const float left = top_left + fy * (bottom_left - top_left);
        const float right = top_right + fy * (bottom_right - top_right);
        out.plane[c][i] = (left + fx * (right - left) - out.mean[c]) * out.scale[c];
    }
}

}  // namespace
}  // namespace qcface
