#include <immintrin.h>

#include <cstdlib>
#include <limits>

#include "picture.hpp"
#include "sample.hpp"

namespace qcface {
namespace {

constexpr int kLanes = 8;

// Eight neighbours along the line: four gathers of four bytes fetch a whole pixel each (and one byte of the next).
class SampleBlock {
public:
    SampleBlock(const Picture& picture, const SampleLine& line, const PlanarRow& out)
        : picture_(picture), line_(line), out_(out), stride_(static_cast<int>(picture.row_stride)) {}

    // False if a sample touches the border; nothing is written then.
    bool write(int i) const {
        const __m256 lane = _mm256_add_ps(_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_ps(static_cast<float>(i)));
        const __m256 x = bound(_mm256_add_ps(_mm256_set1_ps(line_.x), _mm256_mul_ps(lane, _mm256_set1_ps(line_.step_x))));
        const __m256 y = bound(_mm256_add_ps(_mm256_set1_ps(line_.y), _mm256_mul_ps(lane, _mm256_set1_ps(line_.step_y))));
        const __m256 floor_x = _mm256_floor_ps(x);
        const __m256 floor_y = _mm256_floor_ps(y);
        const __m256i column = _mm256_add_epi32(_mm256_cvttps_epi32(floor_x), _mm256_set1_epi32(line_.column));
        const __m256i row = _mm256_add_epi32(_mm256_cvttps_epi32(floor_y), _mm256_set1_epi32(line_.row));
        // The right pixel's spare byte must lie in the picture too, hence one column less.
        if (!all_inside(column, picture_.width - 2) || !all_inside(row, picture_.height - 1)) return false;
        const __m256i offset = _mm256_add_epi32(_mm256_mullo_epi32(row, _mm256_set1_epi32(stride_)),
                                                _mm256_add_epi32(column, _mm256_add_epi32(column, column)));
        blend(offset, _mm256_sub_ps(x, floor_x), _mm256_sub_ps(y, floor_y), i);
        return true;
    }

private:
    static __m256 bound(__m256 value) {
        return _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(-kFar)), _mm256_set1_ps(kFar));
    }

    static bool all_inside(__m256i value, int end) {
        const __m256i below = _mm256_cmpgt_epi32(_mm256_setzero_si256(), value);
        const __m256i above = _mm256_cmpgt_epi32(value, _mm256_set1_epi32(end - 1));
        return _mm256_testz_si256(_mm256_or_si256(below, above), _mm256_set1_epi32(-1)) != 0;
    }

    static __m256i gather(const std::uint8_t* base, __m256i offset) {
        return _mm256_i32gather_epi32(reinterpret_cast<const int*>(base), offset, 1);
    }

    template <int Channel>
    static __m256 channel_of(__m256i pixels) {
        return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(pixels, 8 * Channel), _mm256_set1_epi32(255)));
    }

    template <int Channel>
    void blend_channel(const __m256i (&corners)[4], __m256 fx, __m256 fy, int i) const {
        const __m256 top_left = channel_of<Channel>(corners[0]);
        const __m256 top_right = channel_of<Channel>(corners[1]);
        const __m256 left = _mm256_fmadd_ps(fy, _mm256_sub_ps(channel_of<Channel>(corners[2]), top_left), top_left);
        const __m256 right = _mm256_fmadd_ps(fy, _mm256_sub_ps(channel_of<Channel>(corners[3]), top_right), top_right);
        const __m256 value = _mm256_fmadd_ps(fx, _mm256_sub_ps(right, left), left);
        const __m256 centred = _mm256_sub_ps(value, _mm256_set1_ps(out_.mean[Channel]));
        _mm256_storeu_ps(out_.plane[Channel] + i, _mm256_mul_ps(centred, _mm256_set1_ps(out_.scale[Channel])));
    }

    void blend(__m256i offset, __m256 fx, __m256 fy, int i) const {
        const std::uint8_t* below = picture_.pixels + picture_.row_stride;
        const __m256i corners[4] = {gather(picture_.pixels, offset), gather(picture_.pixels + 3, offset),
                                    gather(below, offset), gather(below + 3, offset)};
        blend_channel<0>(corners, fx, fy, i);
        blend_channel<1>(corners, fx, fy, i);
        blend_channel<2>(corners, fx, fy, i);
    }

    const Picture& picture_;
    const SampleLine& line_;
    const PlanarRow& out_;
    int stride_;
};

void sample_row(const Picture& picture, const SampleLine& line, int count, const PlanarRow& out) {
    int i = 0;
    // Gathers count bytes from the first pixel in 32 bits.
    const long long reach = std::llabs(static_cast<long long>(picture.row_stride)) * (picture.height + 1LL);
    if (reach < std::numeric_limits<int>::max()) {
        const SampleBlock block(picture, line, out);
        for (; i + kLanes <= count; i += kLanes) {
            if (block.write(i)) continue;
            for (int j = i; j < i + kLanes; ++j) sample_one(picture, line, j, out);
        }
    }
    for (; i < count; ++i) sample_one(picture, line, i, out);
}

inline __m256 load8(const std::uint8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}

void blend_rows(const std::uint8_t* const* rows, const float* weights, int taps, int count, float* out) {
    int i = 0;
    for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
        __m256 low = _mm256_setzero_ps();
        __m256 high = _mm256_setzero_ps();
        for (int t = 0; t < taps; ++t) {
            const __m256 weight = _mm256_set1_ps(weights[t]);
            low = _mm256_fmadd_ps(weight, load8(rows[t] + i), low);
            high = _mm256_fmadd_ps(weight, load8(rows[t] + i + kLanes), high);
        }
        _mm256_storeu_ps(out + i, low);
        _mm256_storeu_ps(out + i + kLanes, high);
    }
    for (; i < count; ++i) {
        float sum = 0.0f;
        for (int t = 0; t < taps; ++t) sum += weights[t] * static_cast<float>(rows[t][i]);
        out[i] = sum;
    }
}

// Blue, green, red and one float too many.
inline __m128 blend_pixel(const float* row, const Taps& taps, int i) {
    const float* pixel = row + std::ptrdiff_t{taps.first[i]} * 3;
    const float* weights = taps.weights + std::ptrdiff_t{i} * taps.stride;
    __m128 sum = _mm_setzero_ps();
    for (int t = 0; t < taps.count[i]; ++t, pixel += 3) {
        sum = _mm_fmadd_ps(_mm_set1_ps(weights[t]), _mm_loadu_ps(pixel), sum);
    }
    return sum;
}

void blend_columns(const float* row, const Taps& taps, int count, float* const* planes) {
    int i = 0;
    for (; i + 4 <= count; i += 4) {
        __m128 blue = blend_pixel(row, taps, i);
        __m128 green = blend_pixel(row, taps, i + 1);
        __m128 red = blend_pixel(row, taps, i + 2);
        __m128 spare = blend_pixel(row, taps, i + 3);
        _MM_TRANSPOSE4_PS(blue, green, red, spare);
        _mm_storeu_ps(planes[0] + i, blue);
        _mm_storeu_ps(planes[1] + i, green);
        _mm_storeu_ps(planes[2] + i, red);
    }
    for (; i < count; ++i) {
        alignas(16) float pixel[4];
        _mm_store_ps(pixel, blend_pixel(row, taps, i));
        for (int c = 0; c < 3; ++c) planes[c][i] = pixel[c];
    }
}

}  // namespace

const PictureKernels kPictureAvx2 = {sample_row, blend_rows, blend_columns};

}  // namespace qcface
