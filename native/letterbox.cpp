#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.hpp"
#include "simd/picture.hpp"

namespace qcface {
namespace {

// The weights with which source coordinates make up each output coordinate of one axis.
class Axis {
public:
    Axis(int from, int to) : first_(to), count_(to) {
        if (2 * static_cast<long long>(to) <= from) {
            average(from, to);
        } else {
            interpolate(from, to);
        }
    }

    Taps taps() const { return {first_.data(), count_.data(), weights_.data(), stride_}; }

private:
    // Output i covers the source from i * ratio to (i + 1) * ratio, pixel edges at whole numbers.
    void average(int from, int to) {
        const double ratio = static_cast<double>(from) / to;
        stride_ = static_cast<int>(ratio) + 2;
        weights_.resize(static_cast<std::size_t>(to) * stride_);
        for (int i = 0; i < to; ++i) {
            // Exact at both ends of every output, so that whole ratios have whole weights.
            const double begin = static_cast<double>(static_cast<long long>(i) * from) / to;
            const double end = static_cast<double>((i + 1LL) * from) / to;
            first_[i] = static_cast<int>(begin);
            count_[i] = std::min(static_cast<int>(std::ceil(end)), from) - first_[i];
            for (int t = 0; t < count_[i]; ++t) {
                const double low = std::max(begin, static_cast<double>(first_[i] + t));
                const double high = std::min(end, static_cast<double>(first_[i] + t + 1));
                weights_[static_cast<std::size_t>(i) * stride_ + t] = static_cast<float>((high - low) / ratio);
            }
        }
    }

    // Half-pixel rule; beyond the border pixels' centres the border pixel is repeated.
    void interpolate(int from, int to) {
        stride_ = 2;
        weights_.resize(static_cast<std::size_t>(to) * stride_);
        const double ratio = static_cast<double>(from) / to;
        for (int i = 0; i < to; ++i) {
            const double x = std::min(std::max((i + 0.5) * ratio - 0.5, 0.0), from - 1.0);
            first_[i] = std::min(static_cast<int>(x), std::max(from - 2, 0));
            const float fraction = static_cast<float>(x - first_[i]);
            count_[i] = fraction > 0.0f ? 2 : 1;
            weights_[2 * static_cast<std::size_t>(i)] = 1.0f - fraction;
            weights_[2 * static_cast<std::size_t>(i) + 1] = fraction;
        }
    }

    std::vector<int> first_;
    std::vector<int> count_;
    std::vector<float> weights_;
    int stride_ = 0;
};

void clear_margin(float* plane, int new_w, int new_h, int out_w, int out_h) {
    for (int y = 0; y < new_h; ++y) {
        float* row = plane + static_cast<std::size_t>(y) * out_w;
        std::fill(row + new_w, row + out_w, 0.0f);
    }
    std::fill(plane + static_cast<std::size_t>(new_h) * out_w, plane + static_cast<std::size_t>(out_h) * out_w, 0.0f);
}

}  // namespace

void letterbox(const Picture& picture, int new_w, int new_h, float* out, int out_w, int out_h) {
    const PictureKernels& kernels = picture_kernels();
    const Axis horizontal(picture.width, new_w);
    const Axis vertical(picture.height, new_h);
    const Taps rows = vertical.taps();
    const Taps columns = horizontal.taps();
    const std::size_t plane = static_cast<std::size_t>(out_w) * out_h;
    std::vector<const std::uint8_t*> sources(static_cast<std::size_t>(rows.stride));
    std::vector<float> blended(static_cast<std::size_t>(picture.width) * 3 + 1);
    for (int y = 0; y < new_h; ++y) {
        for (int t = 0; t < rows.count[y]; ++t) {
            sources[t] = picture.pixels + (rows.first[y] + t) * picture.row_stride;
        }
        kernels.blend_rows(sources.data(), rows.weights + static_cast<std::size_t>(y) * rows.stride, rows.count[y],
                           picture.width * 3, blended.data());
        float* const target = out + static_cast<std::size_t>(y) * out_w;
        float* const planes[3] = {target, target + plane, target + 2 * plane};
        kernels.blend_columns(blended.data(), columns, new_w, planes);
    }
    for (int c = 0; c < 3; ++c) clear_margin(out + c * plane, new_w, new_h, out_w, out_h);
}

}  // namespace qcface
