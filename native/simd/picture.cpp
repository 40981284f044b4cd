#include "picture.hpp"

#include "dispatch.hpp"

namespace qcface {

const PictureKernels& picture_kernels() {
    switch (active_set()) {
#if defined(QCFACE_X86_64)
        case Simd::avx512:
        case Simd::avxvnni:
        case Simd::avx2:
            return kPictureAvx2;
#elif defined(QCFACE_ARM64)
        case Simd::neondot:
        case Simd::neon:
            return kPictureNeon;
#endif
        default:
            return kPicturePortable;
    }
}

}  // namespace qcface
