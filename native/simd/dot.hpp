// Dot products of a block of gallery rows with a block of probes, one implementation per instruction set.
//
// Inside one instruction set every product is summed in one fixed order, whatever rows and probes share its block, so
// that a score never depends on where a row lies or on how many probes are asked at once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qcface {

// scores[probe * score_stride + row]; all rows are `dim` long and lie one after another.
struct DotKernels {
    void (*float32)(const float* rows, std::size_t row_count, const float* probes, std::size_t probe_count,
                    std::size_t dim, float* scores, std::size_t score_stride);
    void (*float16)(const std::uint16_t* rows, std::size_t row_count, const float* probes, std::size_t probe_count,
                    std::size_t dim, float* scores, std::size_t score_stride);
    // Plain integer products: the same number in every instruction set.
    void (*int8)(const std::int8_t* rows, std::size_t row_count, const std::int8_t* probes, std::size_t probe_count,
                 std::size_t dim, std::int32_t* sums, std::size_t sum_stride);
};

// How far ahead of a single probe's scan to fetch; measured best of 1 to 8 KB on Zen 5.
constexpr std::size_t kPrefetchBytes = 6144;

extern const DotKernels kDotPortable;
extern const DotKernels kDotAvx2;
extern const DotKernels kDotAvxVnni;
extern const DotKernels kDotAvx512;
extern const DotKernels kDotNeon;
extern const DotKernels kDotNeonDot;

const DotKernels& dot_kernels();

// Walks a block in tiles of R rows by P probes: `Tile::run<R, P>(rows, probes, dim, scores, score_stride)`. Probes left
// over are taken one by one with `Single` rows each, rows left over singly.
template <class Tile, std::size_t R, std::size_t P, std::size_t Single, class Row, class Probe, class Score>
void for_each_tile(const Row* rows, std::size_t row_count, const Probe* probes, std::size_t probe_count,
                   std::size_t dim, Score* scores, std::size_t score_stride) {
    std::size_t p = 0;
    for (; p + P <= probe_count; p += P) {
        const Probe* const asked = probes + p * dim;
        Score* const found = scores + p * score_stride;
        std::size_t r = 0;
        for (; r + R <= row_count; r += R) {
            Tile::template run<R, P>(rows + r * dim, asked, dim, found + r, score_stride);
        }
        for (; r < row_count; ++r) {
            Tile::template run<1, P>(rows + r * dim, asked, dim, found + r, score_stride);
        }
    }
    if constexpr (P > 1) {
        if (p < probe_count) {
            for_each_tile<Tile, Single, 1, Single>(rows, row_count, probes + p * dim, probe_count - p, dim,
                                      scores + p * score_stride, score_stride);
        }
    }
}

}  // namespace qcface
