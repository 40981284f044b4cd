#include <immintrin.h>
#include <limits.h>
#include <stdlib.h>

#include "picture.hpp"
#include "sample.hpp"

namespace qcface {
namespace {

constexpr int kLanes = 8;

// Vertical weights are whole numbers of 2^-14, so that one integer instruction blends two rows: at most 0.01 level off.
constexpr int kWeightBits = 14;
constexpr float kWeightOne = 1 << kWeightBits;

// The pixels left and right of eight samples, blended vertically: six registers of eight numbers, blue, green and red
// of the left pixel, then of the right one, in units of 2^-14 level.
struct Columns {
    __m256 number[6];

    // From each place eight bytes of two rows: two pixels and two bytes to spare. Plain loads are faster than gathers.
    Columns(const std::uint8_t* above, const std::uint8_t* below, const std::int32_t* offsets, __m256i weights) {
        const __m256i p04 = places(above, below, offsets[0], offsets[4]);
        const __m256i p15 = places(above, below, offsets[1], offsets[5]);
        const __m256i p26 = places(above, below, offsets[2], offsets[6]);
        const __m256i p37 = places(above, below, offsets[3], offsets[7]);
        const __m256i low01 = _mm256_unpacklo_epi16(p04, p15);
        const __m256i low23 = _mm256_unpacklo_epi16(p26, p37);
        const __m256i high01 = _mm256_unpackhi_epi16(p04, p15);
        const __m256i high23 = _mm256_unpackhi_epi16(p26, p37);
        set(0, _mm256_unpacklo_epi32(low01, low23), weights);
        set(2, _mm256_unpackhi_epi32(low01, low23), weights);
        set(4, _mm256_unpacklo_epi32(high01, high23), weights);
    }

private:
    static __m128i place(const std::uint8_t* above, const std::uint8_t* below) {
        return _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(above)),
                                 _mm_loadl_epi64(reinterpret_cast<const __m128i*>(below)));
    }

    // Bytes of both rows in turn, one place in the lower half and one in the upper.
    static __m256i places(const std::uint8_t* above, const std::uint8_t* below, std::ptrdiff_t a, std::ptrdiff_t b) {
        return _mm256_inserti128_si256(_mm256_castsi128_si256(place(above + a, below + a)),
                                       place(above + b, below + b), 1);
    }

    void set(int i, __m256i pairs, __m256i weights) {
        const __m256i zero = _mm256_setzero_si256();
        number[i] = _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_unpacklo_epi8(pairs, zero), weights));
        number[i + 1] = _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_unpackhi_epi8(pairs, zero), weights));
    }
};

// A line of samples, eight at a time.
class LineSampler {
public:
    LineSampler(const Picture& picture, const SampleLine& line, const PlanarRow& out)
        : line_(line),
          above_(picture.pixels),
          below_(picture.pixels + picture.row_stride),
          stride_(_mm256_set1_epi32(static_cast<int>(picture.row_stride))),
          columns_(picture.width - 2),  // the spare bytes must lie in the picture too, hence one column less
          rows_(picture.height - 1) {
        for (int c = 0; c < 3; ++c) {
            plane_[c] = out.plane[c];
            scale_[c] = _mm256_set1_ps(out.scale[c] / kWeightOne);
            shift_[c] = _mm256_set1_ps(-out.mean[c] * out.scale[c]);
        }
    }

    // Whether these samples and all between them keep clear of the border: rounding never turns a rising coordinate
    // around, so the ends speak for the rest.
    bool clear(int first, int last) const { return clear_at(first) && clear_at(last); }

    void write(int i) const {
        const __m256 first = _mm256_set1_ps(static_cast<float>(i));
        const __m256 lane = _mm256_add_ps(_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), first);
        const __m256 x = _mm256_add_ps(_mm256_set1_ps(line_.x), _mm256_mul_ps(lane, _mm256_set1_ps(line_.step_x)));
        const __m256 y = _mm256_add_ps(_mm256_set1_ps(line_.y), _mm256_mul_ps(lane, _mm256_set1_ps(line_.step_y)));
        const __m256 floor_x = _mm256_floor_ps(x);
        const __m256 floor_y = _mm256_floor_ps(y);
        const __m256i column = _mm256_add_epi32(_mm256_cvttps_epi32(floor_x), _mm256_set1_epi32(line_.column));
        const __m256i row = _mm256_add_epi32(_mm256_cvttps_epi32(floor_y), _mm256_set1_epi32(line_.row));
        const __m256i offset = _mm256_add_epi32(_mm256_mullo_epi32(row, stride_),
                                                _mm256_add_epi32(column, _mm256_add_epi32(column, column)));
        alignas(32) std::int32_t offsets[kLanes];
        _mm256_store_si256(reinterpret_cast<__m256i*>(offsets), offset);
        // Keeps the compiler from taking the register apart with shuffles, of which there are enough below.
        __asm__("" : "+m"(offsets));
        const Columns columns(above_, below_, offsets, row_weights(_mm256_sub_ps(y, floor_y)));
        const __m256 fraction = _mm256_sub_ps(x, floor_x);
        for (int c = 0; c < 3; ++c) {
            const __m256 left = columns.number[c];
            const __m256 value = _mm256_fmadd_ps(fraction, _mm256_sub_ps(columns.number[c + 3], left), left);
            _mm256_storeu_ps(plane_[c] + i, _mm256_fmadd_ps(value, scale_[c], shift_[c]));
        }
    }

private:
    bool clear_at(int i) const {
        const float x = bounded(line_.x + static_cast<float>(i) * line_.step_x);
        const float y = bounded(line_.y + static_cast<float>(i) * line_.step_y);
        const int column = line_.column + static_cast<int>(floorf(x));
        const int row = line_.row + static_cast<int>(floorf(y));
        return column >= 0 && column < columns_ && row >= 0 && row < rows_;
    }

    // In each 32 bits the weight of the row above, then that of the row below.
    static __m256i row_weights(__m256 fraction) {
        const __m256i below = _mm256_cvtps_epi32(_mm256_mul_ps(fraction, _mm256_set1_ps(kWeightOne)));
        const __m256i above = _mm256_sub_epi32(_mm256_set1_epi32(1 << kWeightBits), below);
        return _mm256_or_si256(above, _mm256_slli_epi32(below, 16));
    }

    const SampleLine line_;
    const std::uint8_t* above_;
    const std::uint8_t* below_;
    float* plane_[3];
    __m256 scale_[3];
    __m256 shift_[3];
    __m256i stride_;
    int columns_;
    int rows_;
};

void sample_row(const Picture& picture, const SampleLine& line, int count, const PlanarRow& out) {
    int i = 0;
    // Places count in bytes from the first pixel, in 32 bits.
    const long long reach = llabs(static_cast<long long>(picture.row_stride)) * (picture.height + 1LL);
    if (reach < INT_MAX) {
        const LineSampler sampler(picture, line, out);
        const bool all_clear = sampler.clear(0, count - 1);
        for (; i + kLanes <= count; i += kLanes) {
            if (all_clear || sampler.clear(i, i + kLanes - 1)) {
                sampler.write(i);
                continue;
            }
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
