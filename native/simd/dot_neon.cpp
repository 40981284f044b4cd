#include "dot_neon.hpp"

namespace qcface {
namespace {

// No product of two bytes is larger than 2^14, so sixteen bits hold each; they are added in pairs to 32 bits.
struct WideningProduct {
    static int32x4_t add(int32x4_t sums, int8x16_t row, int8x16_t probe) {
        sums = vpadalq_s16(sums, vmull_s8(vget_low_s8(row), vget_low_s8(probe)));
        return vpadalq_s16(sums, vmull_high_s8(row, probe));
    }
};

}  // namespace

const DotKernels kDotNeon = {
    for_each_tile<FloatTile, 4, 4, 4, float, float, float>,
    for_each_tile<FloatTile, 4, 4, 4, std::uint16_t, float, float>,
    for_each_tile<IntTile<WideningProduct>, 4, 2, 4, std::int8_t, std::int8_t, std::int32_t>,
};

}  // namespace qcface
