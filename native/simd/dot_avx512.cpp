#include "dot_vnni.hpp"

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
struct WideFloatTile {
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
                if constexpr (P == 1) prefetch(rows + r * dim + i);
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

// The 256-bit form: the 512-bit one was no faster with many probes and slower with one, where memory sets the pace.
struct Dpbusd {
    static __m256i add(__m256i sums, __m256i unsigned_bytes, __m256i signed_bytes) {
        return _mm256_dpbusd_epi32(sums, unsigned_bytes, signed_bytes);
    }
};

}  // namespace

const DotKernels kDotAvx512 = {
    for_each_tile<WideFloatTile, 4, 4, 4, float, float, float>,
    for_each_tile<WideFloatTile, 4, 4, 4, std::uint16_t, float, float>,
    for_each_tile<VnniTile<Dpbusd>, 4, 2, 2, std::int8_t, std::int8_t, std::int32_t>,
};

}  // namespace qcface
