// One bilinear sample in plain C++: the whole of the portable kernel, and what the others do near a picture's border.
//
// Included by files built for different instruction sets, so nothing here may be shared by the linker: internal
// linkage, and no inline function of the standard library (an unoptimised build would emit std::floor once for all).
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

// Four neighbouring pixels; a missing one is black.
struct Corners {
    const std::uint8_t* top_left;
    const std::uint8_t* top_right;
    const std::uint8_t* bottom_left;
    const std::uint8_t* bottom_right;

    Corners(const Picture& picture, int column, int row) {
        static constexpr std::uint8_t kBlack[3] = {};
        const std::uint8_t* pixel = picture.pixels + row * picture.row_stride + std::ptrdiff_t{column} * 3;
        const bool left = column >= 0 && column < picture.width;
        const bool right = column >= -1 && column < picture.width - 1;
        const bool top = row >= 0 && row < picture.height;
        const bool bottom = row >= -1 && row < picture.height - 1;
        top_left = top && left ? pixel : kBlack;
        top_right = top && right ? pixel + 3 : kBlack;
        bottom_left = bottom && left ? pixel + picture.row_stride : kBlack;
        bottom_right = bottom && right ? pixel + picture.row_stride + 3 : kBlack;
    }
};

inline void sample_one(const Picture& picture, const SampleLine& line, int i, const PlanarRow& out) {
    const float x = bounded(line.x + static_cast<float>(i) * line.step_x);
    const float y = bounded(line.y + static_cast<float>(i) * line.step_y);
    const float floor_x = floorf(x);
    const float floor_y = floorf(y);
    const float fx = x - floor_x;
    const float fy = y - floor_y;
    const Corners at(picture, line.column + static_cast<int>(floor_x), line.row + static_cast<int>(floor_y));
    for (int c = 0; c < 3; ++c) {
        const float top_left = at.top_left[c];
        const float top_right = at.top_right[c];
        const float left = top_left + fy * (static_cast<float>(at.bottom_left[c]) - top_left);
        const float right = top_right + fy * (static_cast<float>(at.bottom_right[c]) - top_right);
        out.plane[c][i] = (left + fx * (right - left) - out.mean[c]) * out.scale[c];
    }
}

}  // namespace
}  // namespace qcface
