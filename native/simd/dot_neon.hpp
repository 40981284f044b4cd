// Tiles in NEON registers, shared by the two sets that differ in their integer products alone. Internal linkage: the
// linker must not pick another translation unit's copy, built with other flags.
#pragma once

#include <arm_neon.h>

#include "dot.hpp"

namespace qcface {
namespace {

inline float32x4_t load4(const float* from) { return vld1q_f32(from); }
inline float32x4_t load4(const std::uint16_t* from) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))); }

inline float load1(const float* from) { return *from; }
inline float load1(const std::uint16_t* from) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vld1_dup_u16(from))), 0);
}

// One register of partial sums for each product, whatever the tile: that fixes the order of summation.
struct FloatTile {
    template <std::size_t R, std::size_t P, class Row>
    static void run(const Row* rows, const float* probes, std::size_t dim, float* scores, std::size_t score_stride) {
        float32x4_t sums[R][P];
        for (auto& row : sums) {
            for (float32x4_t& sum : row) sum = vdupq_n_f32(0.0f);
        }
        std::size_t i = 0;
        for (; i + 4 <= dim; i += 4) {
            float32x4_t probe[P];
            for (std::size_t p = 0; p < P; ++p) probe[p] = load4(probes + p * dim + i);
            for (std::size_t r = 0; r < R; ++r) {
                const float32x4_t row = load4(rows + r * dim + i);
                for (std::size_t p = 0; p < P; ++p) sums[r][p] = vfmaq_f32(sums[r][p], row, probe[p]);
            }
        }
        for (std::size_t r = 0; r < R; ++r) {
            for (std::size_t p = 0; p < P; ++p) {
                float sum = vaddvq_f32(sums[r][p]);
                for (std::size_t j = i; j < dim; ++j) sum += load1(rows + r * dim + j) * probes[p * dim + j];
                scores[p * score_stride + r] = sum;
            }
        }
    }
};

// `Product::add(sums, row, probe)` adds the products of sixteen bytes to four sums.
template <class Product>
struct IntTile {
    template <std::size_t R, std::size_t P>
    static void run(const std::int8_t* rows, const std::int8_t* probes, std::size_t dim, std::int32_t* sums_out,
                    std::size_t sum_stride) {
        int32x4_t sums[R][P];
        for (auto& row : sums) {
            for (int32x4_t& sum : row) sum = vdupq_n_s32(0);
        }
        std::size_t i = 0;
        for (; i + 16 <= dim; i += 16) {
            int8x16_t probe[P];
            for (std::size_t p = 0; p < P; ++p) probe[p] = vld1q_s8(probes + p * dim + i);
            for (std::size_t r = 0; r < R; ++r) {
                const int8x16_t row = vld1q_s8(rows + r * dim + i);
                for (std::size_t p = 0; p < P; ++p) sums[r][p] = Product::add(sums[r][p], row, probe[p]);
            }
        }
        for (std::size_t r = 0; r < R; ++r) {
            for (std::size_t p = 0; p < P; ++p) {
                std::int32_t sum = vaddvq_s32(sums[r][p]);
                for (std::size_t j = i; j < dim; ++j) sum += rows[r * dim + j] * probes[p * dim + j];
                sums_out[p * sum_stride + r] = sum;
            }
        }
    }
};

}  // namespace
}  // namespace qcface
