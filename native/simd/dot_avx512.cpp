#include <immintrin.h>

#include "dot.hpp"

namespace qcface {
namespace {

inline __m512 load16(const float* from) { return _mm512_loadu_ps(from); }
inline __m512 load16(const float* from, __mmask16 lanes) { return _mm512_maskz_loadu_ps(lanes, from); }

inline __m512 load16(const std::uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

inline __m512 load16(const std::uint16_t* from, __mmask16 lanes) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, from));
}

// One register of partial sums for each product, whatever the tile: that fixes the order of summation.
struct FloatTile {
    template <std::size_t R, std::size_t P, class Row>
    static void run(const Row* rows, const float* probes, std::size_t dim, float* scores, std::size_t score_stride) {
        __m512 sums[R][P];
        for (auto& row : sums) {
            for (__m512& sum : row) sum = _mm512_setzero_ps();
        }
        std::size_t i = 0;
        for (; i + 16 <= dim; i += 16) {
            __m512 probe[P];
            for (std::size_t p = 0; p < P; ++p) probe[p] = load16(probes + p * dim + i);
            for (std::size_t r = 0; r < R; ++r) {
                const __m512 row = load16(rows + r * dim + i);
                for (std::size_t p = 0; p < P; ++p) sums[r][p] = _mm512_fmadd_ps(row, probe[p], sums[r][p]);
            }
        }
        const auto lanes = static_cast<__mmask16>((1u << (dim - i)) - 1);
        for (std::size_t r = 0; r < R; ++r) {
            const __m512 row = load16(rows + r * dim + i, lanes);
            for (std::size_t p = 0; p < P; ++p) {
                const __m512 probe = load16(probes + p * dim + i, lanes);
                scores[p * score_stride + r] = _mm512_reduce_add_ps(_mm512_fmadd_ps(row, probe, sums[r][p]));
            }
        }
    }
};

// As in dot_avxvnni.cpp: a row's sign bits are flipped for dpbusd, and 128 times the probe's sum is taken off again.
struct VnniTile {
    template <std::size_t R, std::size_t P>
    static void run(const std::int8_t* rows, const std::int8_t* probes, std::size_t dim, std::int32_t* sums_out,
                    std::size_t sum_stride) {
        const __m512i flip = _mm512_set1_epi8(-128);
        __m512i sums[R][P];
        __m512i probe_sums[P];
        for (auto& row : sums) {
            for (__m512i& sum : row) sum = _mm512_setzero_si512();
        }
        for (__m512i& sum : probe_sums) sum = _mm512_setzero_si512();
        for (std::size_t i = 0; i < dim; i += 64) {
            // Past the end a probe reads as zero, so whatever the row holds there counts nothing.
            const std::size_t left = dim - i;
            const __mmask64 bytes = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
            __m512i probe[P];
            for (std::size_t p = 0; p < P; ++p) {
                probe[p] = _mm512_maskz_loadu_epi8(bytes, probes + p * dim + i);
                probe_sums[p] = _mm512_dpbusd_epi32(probe_sums[p], flip, probe[p]);
            }
            for (std::size_t r = 0; r < R; ++r) {
                const __m512i row = _mm512_xor_si512(_mm512_maskz_loadu_epi8(bytes, rows + r * dim + i), flip);
                for (std::size_t p = 0; p < P; ++p) sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], row, probe[p]);
            }
        }
        for (std::size_t r = 0; r < R; ++r) {
            for (std::size_t p = 0; p < P; ++p) {
                sums_out[p * sum_stride + r] = _mm512_reduce_add_epi32(_mm512_sub_epi32(sums[r][p], probe_sums[p]));
            }
        }
    }
};

}  // namespace

const DotKernels kDotAvx512 = {
    for_each_tile<FloatTile, 4, 4, float, float, float>,
    for_each_tile<FloatTile, 4, 4, std::uint16_t, float, float>,
    for_each_tile<VnniTile, 4, 4, std::int8_t, std::int8_t, std::int32_t>,
};

}  // namespace qcface
