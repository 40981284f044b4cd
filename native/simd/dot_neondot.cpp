#include "dot_neon.hpp"

namespace qcface {
namespace {

struct DotProduct {
    static int32x4_t add(int32x4_t sums, int8x16_t row, int8x16_t probe) { return vdotq_s32(sums, row, probe); }
};

}  // namespace

const DotKernels kDotNeonDot = {
    for_each_tile<FloatTile, 4, 4, 4, float, float, float>,
    for_each_tile<FloatTile, 4, 4, 4, std::uint16_t, float, float>,
    for_each_tile<IntTile<DotProduct>, 4, 4, 4, std::int8_t, std::int8_t, std::int32_t>,
};

}  // namespace qcface
