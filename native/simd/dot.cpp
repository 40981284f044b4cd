#include "dot.hpp"

#include "dispatch.hpp"

namespace qcface {

const DotKernels& dot_kernels() {
    switch (active_set()) {
#if defined(QCFACE_X86_64)
        case Simd::avx512:
            return kDotAvx512;
        case Simd::avxvnni:
            return kDotAvxVnni;
        case Simd::avx2:
            return kDotAvx2;
#elif defined(QCFACE_ARM64)
        case Simd::neondot:
            return kDotNeonDot;
        case Simd::neon:
            return kDotNeon;
#endif
        default:
            return kDotPortable;
    }
}

}  // namespace qcface
