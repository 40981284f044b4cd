// Tiles in 256-bit registers, shared by the two sets that differ in their integer products alone. Everything has
// internal linkage: the linker must not pick another translation unit's copy, built with other flags.
#pragma once

#include <immintrin.h>

#include "dot.hpp"

namespace qcface {
namespace {

// A single probe is as fast as memory delivers, and the processor's own prefetching loses track between several rows.
inline void prefetch(const void* row) {
    _mm_prefetch(static_cast<const char*>(row) + kPrefetchBytes, _MM_HINT_T0);
}

inline __m256 load8(const float* from) { return _mm256_loadu_ps(from); }

inline __m256 load8(const std::uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

inline float load1(const float* from) { return *from; }
inline float load1(const std::uint16_t* from) { return _cvtsh_ss(*from); }

inline float sum_lanes(__m256 lanes) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

inline std::int32_t sum_lanes(__m256i lanes) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
}

// One register of partial sums for each product, whatever the tile: that fixes the order of summation.
struct FloatTile {
    template <std::size_t R, std::size_t P, class Row>
    static void run(const Row* rows, const float* probes, std::size_t dim, float* scores, std::size_t score_stride) {
        __m256 sums[R][P];
        for (auto& row : sums) {
            for (__m256& sum : row) sum = _mm256_setzero_ps();
        }
        std::size_t i = 0;
        for (; i + 8 <= dim; i += 8) {
            __m256 probe[P];
            for (std::size_t p = 0; p < P; ++p) probe[p] = load8(probes + p * dim + i);
            for (std::size_t r = 0; r < R; ++r) {
                if constexpr (P == 1) prefetch(rows + r * dim + i);
                const __m256 row = load8(rows + r * dim + i);
                for (std::size_t p = 0; p < P; ++p) sums[r][p] = _mm256_fmadd_ps(row, probe[p], sums[r][p]);
            }
        }
        for (std::size_t r = 0; r < R; ++r) {
            for (std::size_t p = 0; p < P; ++p) {
                float sum = sum_lanes(sums[r][p]);
                for (std::size_t j = i; j < dim; ++j) sum += load1(rows + r * dim + j) * probes[p * dim + j];
                scores[p * score_stride + r] = sum;
            }
        }
    }
};

inline __m256i widen16(const std::int8_t* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

inline std::int32_t tail_product(const std::int8_t* row, const std::int8_t* probe, std::size_t from, std::size_t dim) {
    std::int32_t sum = 0;
    for (std::size_t i = from; i < dim; ++i) sum += row[i] * probe[i];
    return sum;
}

// Widened to 16 bits first: the byte product of AVX2 (maddubs) saturates.
struct WideningTile {
    template <std::size_t R, std::size_t P>
    static void run(const std::int8_t* rows, const std::int8_t* probes, std::size_t dim, std::int32_t* sums_out,
                    std::size_t sum_stride) {
        __m256i sums[R][P];
        for (auto& row : sums) {
            for (__m256i& sum : row) sum = _mm256_setzero_si256();
        }
        std::size_t i = 0;
        for (; i + 16 <= dim; i += 16) {
            __m256i probe[P];
            for (std::size_t p = 0; p < P; ++p) probe[p] = widen16(probes + p * dim + i);
            for (std::size_t r = 0; r < R; ++r) {
                if constexpr (P == 1) prefetch(rows + r * dim + i);
                const __m256i row = widen16(rows + r * dim + i);
                for (std::size_t p = 0; p < P; ++p) {
                    sums[r][p] = _mm256_add_epi32(sums[r][p], _mm256_madd_epi16(row, probe[p]));
                }
            }
        }
        for (std::size_t r = 0; r < R; ++r) {
            for (std::size_t p = 0; p < P; ++p) {
                sums_out[p * sum_stride + r] =
                    sum_lanes(sums[r][p]) + tail_product(rows + r * dim, probes + p * dim, i, dim);
            }
        }
    }
};

}  // namespace
}  // namespace qcface
