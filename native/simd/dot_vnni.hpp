// The integer tile of the two sets with byte products (VNNI), which differ in how the instruction is encoded.
#pragma once

#include "dot_avx2.hpp"

namespace qcface {
namespace {

// dpbusd multiplies unsigned by signed bytes. Flipping a row's sign bits adds 128 to each of its bytes, and so 128
// times the probe's sum to the product, which is taken off again: exact for every int8.
template <class Dpbusd>
struct VnniTile {
    template <std::size_t R, std::size_t P>
    static void run(const std::int8_t* rows, const std::int8_t* probes, std::size_t dim, std::int32_t* sums_out,
                    std::size_t sum_stride) {
        const __m256i flip = _mm256_set1_epi8(-128);
        __m256i sums[R][P];
        __m256i probe_sums[P];
        for (auto& row : sums) {
            for (__m256i& sum : row) sum = _mm256_setzero_si256();
        }
        for (__m256i& sum : probe_sums) sum = _mm256_setzero_si256();
        std::size_t i = 0;
        for (; i + 32 <= dim; i += 32) {
            __m256i probe[P];
            for (std::size_t p = 0; p < P; ++p) {
                probe[p] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(probes + p * dim + i));
                probe_sums[p] = Dpbusd::add(probe_sums[p], flip, probe[p]);
            }
            for (std::size_t r = 0; r < R; ++r) {
                if constexpr (P == 1) prefetch(rows + r * dim + i);
                const __m256i* from = reinterpret_cast<const __m256i*>(rows + r * dim + i);
                const __m256i row = _mm256_xor_si256(_mm256_loadu_si256(from), flip);
                for (std::size_t p = 0; p < P; ++p) sums[r][p] = Dpbusd::add(sums[r][p], row, probe[p]);
            }
        }
        for (std::size_t r = 0; r < R; ++r) {
            for (std::size_t p = 0; p < P; ++p) {
                sums_out[p * sum_stride + r] = sum_lanes(_mm256_sub_epi32(sums[r][p], probe_sums[p])) +
                                               tail_product(rows + r * dim, probes + p * dim, i, dim);
            }
        }
    }
};

}  // namespace
}  // namespace qcface
