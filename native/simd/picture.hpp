// Row kernels over pictures, one implementation per instruction set.
#pragma once

#include <cstdint>

#include "../kernels.hpp"

namespace qcface {

// Points first + i * step, i = 0..count-1, of a picture. The whole part of the first point is kept apart, so that
// floats carry only the way along the row and stay exact enough in the largest frames.
struct SampleLine {
    int column;
    int row;
    float x;
    float y;
    float step_x;
    float step_y;
};

// Where a sampled row goes: per source channel (blue, green, red) its plane, mean and scale.
struct PlanarRow {
    float* plane[3];
    float mean[3];
    float scale[3];
};

// Weights of one output coordinate: `first` .. `first + count - 1`, in `weights + i * stride`.
struct Taps {
    const int* first;
    const int* count;
    const float* weights;
    int stride;
};

struct PictureKernels {
    // Bilinear samples along a line, black outside the picture, normalised.
    void (*sample_row)(const Picture& picture, const SampleLine& line, int count, const PlanarRow& out);
    // out[i] = sum over t of weights[t] * rows[t][i]
    void (*blend_rows)(const std::uint8_t* const* rows, const float* weights, int taps, int count, float* out);
    // Weighted sums over neighbouring BGR float pixels, split into planes. `row` has one float to spare at its end.
    void (*blend_columns)(const float* row, const Taps& taps, int count, float* const* planes);
};

extern const PictureKernels kPicturePortable;
extern const PictureKernels kPictureAvx2;
extern const PictureKernels kPictureNeon;

const PictureKernels& picture_kernels();

}  // namespace qcface
