#include "picture.hpp"
#include "sample.hpp"

namespace qcface {
namespace {

void sample_row(const Picture& picture, const SampleLine& line, int count, const PlanarRow& out) {
    for (int i = 0; i < count; ++i) sample_one(picture, line, i, out);
}

void blend_rows(const std::uint8_t* const* rows, const float* weights, int taps, int count, float* out) {
    for (int i = 0; i < count; ++i) out[i] = weights[0] * static_cast<float>(rows[0][i]);
    for (int t = 1; t < taps; ++t) {
        const std::uint8_t* row = rows[t];
        const float weight = weights[t];
        for (int i = 0; i < count; ++i) out[i] += weight * static_cast<float>(row[i]);
    }
}

void blend_columns(const float* row, const Taps& taps, int count, float* const* planes) {
    for (int i = 0; i < count; ++i) {
        const float* pixel = row + std::ptrdiff_t{taps.first[i]} * 3;
        const float* weights = taps.weights + std::ptrdiff_t{i} * taps.stride;
        float sum[3] = {};
        for (int t = 0; t < taps.count[i]; ++t, pixel += 3) {
            for (int c = 0; c < 3; ++c) sum[c] += weights[t] * pixel[c];
        }
        for (int c = 0; c < 3; ++c) planes[c][i] = sum[c];
    }
}

}  // namespace

const PictureKernels kPicturePortable = {sample_row, blend_rows, blend_columns};

}  // namespace qcface
