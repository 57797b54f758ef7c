// Which instruction set to use.
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace reuse {
namespace {

const Kernels& choose() {
#ifdef REUSE_X86
    const char* wanted = std::getenv("REUSE_KERNELS");
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    const bool any = !wanted || !*wanted;
    if (avx512 && (any || !std::strcmp(wanted, kAvx512Kernels.name))) return kAvx512Kernels;
    if (avx2 && (any || std::strcmp(wanted, kBaselineKernels.name))) return kAvx2Kernels;
#endif
    return kBaselineKernels;
}

}  // namespace

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

}  // namespace reuse
