#include <cstring>

#include "dot.hpp"

namespace qcface {
namespace {

constexpr std::size_t kLanes = 8;

float half_to_float(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16;
    const std::uint32_t magnitude = half & 0x7fffu;
    if (magnitude < 0x400u) {  // zero and subnormals: magnitude * 2^-24 is exact
        const float value = static_cast<float>(magnitude) * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    // 112 moves the exponent's bias from 15 to 127; infinity and NaN need it twice.
    const std::uint32_t rebias = magnitude >= 0x7c00u ? 224u << 23 : 112u << 23;
    const std::uint32_t bits = sign | ((magnitude << 13) + rebias);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

float as_float(float value) { return value; }
float as_float(std::uint16_t half) { return half_to_float(half); }

struct FloatTile {
    template <std::size_t R, std::size_t P, class Row>
    static void run(const Row* rows, const float* probes, std::size_t dim, float* scores, std::size_t) {
        static_assert(R == 1 && P == 1, "the portable tile is a single product");
        float lanes[kLanes] = {};
        std::size_t i = 0;
        for (; i + kLanes <= dim; i += kLanes) {
            for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += as_float(rows[i + l]) * probes[i + l];
        }
        float sum = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
        for (; i < dim; ++i) sum += as_float(rows[i]) * probes[i];
        *scores = sum;
    }
};

struct IntTile {
    template <std::size_t R, std::size_t P>
    static void run(const std::int8_t* rows, const std::int8_t* probes, std::size_t dim, std::int32_t* sums,
                    std::size_t) {
        static_assert(R == 1 && P == 1, "the portable tile is a single product");
        std::int32_t sum = 0;
        for (std::size_t i = 0; i < dim; ++i) sum += rows[i] * probes[i];
        *sums = sum;
    }
};

}  // namespace

const DotKernels kDotPortable = {
    for_each_tile<FloatTile, 1, 1, 1, float, float, float>,
    for_each_tile<FloatTile, 1, 1, 1, std::uint16_t, float, float>,
    for_each_tile<IntTile, 1, 1, 1, std::int8_t, std::int8_t, std::int32_t>,
};

}  // namespace qcface
