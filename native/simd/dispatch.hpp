// Which instruction set to use: asked of the processor once, at the first call of a kernel.
#pragma once

namespace qcface {

enum class Simd { none, portable, avx2, avxvnni, avx512, neon, neondot };

// The best set that this build and processor both have, or the one named by the environment variable QCFACE_SIMD
// (Simd::none if that one cannot be used).
Simd active_set();

}  // namespace qcface
