#include "dispatch.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "../kernels.hpp"

#if defined(QCFACE_ARM64) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace qcface {
namespace {

struct Entry {
    Simd set;
    const char* name;
};

// Best first.
constexpr Entry kSets[] = {
    {Simd::avx512, "avx512"},   {Simd::avxvnni, "avxvnni"}, {Simd::avx2, "avx2"},
    {Simd::neondot, "neondot"}, {Simd::neon, "neon"},       {Simd::portable, "portable"},
};

bool usable(Simd set) {
    switch (set) {
        case Simd::portable:
            return true;
#if defined(QCFACE_X86_64)
        case Simd::avx2:
            return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
        case Simd::avxvnni:
            return usable(Simd::avx2) && __builtin_cpu_supports("avxvnni");
        case Simd::avx512:
            return usable(Simd::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vnni");
#elif defined(QCFACE_ARM64)
        case Simd::neon:
            return true;
#if defined(__linux__)
        case Simd::neondot:
            return (getauxval(AT_HWCAP) & (1UL << 20)) != 0;  // HWCAP_ASIMDDP
#endif
#endif
        default:
            return false;
    }
}

Simd choose() {
    const char* wanted = std::getenv("QCFACE_SIMD");
    const bool any = wanted == nullptr || *wanted == '\0';
    for (const Entry& entry : kSets) {
        if (usable(entry.set) && (any || std::strcmp(wanted, entry.name) == 0)) return entry.set;
    }
    return Simd::none;
}

}  // namespace

Simd active_set() {
    static const Simd chosen = choose();
    return chosen;
}

const char* active_simd() {
    for (const Entry& entry : kSets) {
        if (entry.set == active_set()) return entry.name;
    }
    return nullptr;
}

const char* usable_simd(std::size_t i) {
    for (const Entry& entry : kSets) {
        if (usable(entry.set) && i-- == 0) return entry.name;
    }
    return nullptr;
}

}  // namespace qcface
