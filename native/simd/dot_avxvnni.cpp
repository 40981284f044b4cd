#include "dot_vnni.hpp"

namespace qcface {
namespace {

struct Dpbusd {
    static __m256i add(__m256i sums, __m256i unsigned_bytes, __m256i signed_bytes) {
        return _mm256_dpbusd_avx_epi32(sums, unsigned_bytes, signed_bytes);
    }
};

}  // namespace

const DotKernels kDotAvxVnni = {
    for_each_tile<FloatTile, 4, 3, 4, float, float, float>,
    for_each_tile<FloatTile, 4, 3, 4, std::uint16_t, float, float>,
    for_each_tile<VnniTile<Dpbusd>, 4, 2, 2, std::int8_t, std::int8_t, std::int32_t>,
};

}  // namespace qcface
