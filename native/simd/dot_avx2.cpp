#include "dot_avx2.hpp"

namespace qcface {

const DotKernels kDotAvx2 = {
    for_each_tile<FloatTile, 4, 3, 4, float, float, float>,
    for_each_tile<FloatTile, 4, 3, 4, std::uint16_t, float, float>,
    for_each_tile<WideningTile, 4, 2, 2, std::int8_t, std::int8_t, std::int32_t>,
};

}  // namespace qcface
