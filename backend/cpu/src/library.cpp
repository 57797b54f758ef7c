// What onnxruntime calls when the library is registered.
#include <cstring>

#include "kernels.hpp"
#include "operator.hpp"

#define REUSE_EXPORT extern "C" __attribute__((visibility("default")))

namespace reuse {
namespace {

std::vector<const Operator*> operators(const char* domain) {
    std::vector<const Operator*> found;
    for (const auto* list : {&gemm_operators(), &conv_operators(), &recurrent_operators(), &trial_operators()})
        for (const Operator* op : *list)
            if (!std::strcmp(op->domain, domain)) found.push_back(op);
    return found;
}

}  // namespace
}  // namespace reuse

REUSE_EXPORT reuse::ort::Status* RegisterCustomOps(reuse::ort::SessionOptions* options, const reuse::ort::ApiBase* base) {
    using namespace reuse;
    const ort::Api* api = base->get_api(ort::kApiVersion);
    if (!api) {
        const std::string text =
            failure("ai.reuse kernels need onnxruntime of API version %u or later, this is version %s: update onnxruntime",
                    ort::kApiVersion, base->version_string());
        return ort::create_status(base->get_api(1), ort::kNotImplemented, text.c_str());
    }
    shape_references = base->get_api(ort::kShapeReferenceVersion) != nullptr;
    for (const char* name : {kDomain, kTrialDomain}) {
        ort::CustomOpDomain* domain = nullptr;
        if (ort::Status* status = ort::create_domain(api, name, &domain)) return status;
        for (const Operator* op : operators(name))
            if (ort::Status* status = ort::add_op(api, domain, static_cast<const ort::CustomOp*>(op))) return status;
        if (ort::Status* status = ort::add_domain(api, options, domain)) return status;
    }
    return nullptr;
}

// Whether the library has the reuse operator of that name.
REUSE_EXPORT int reuse_has_kernel(const char* name) {
    using namespace reuse;
    for (const Operator* op : operators(kDomain))
        if (!std::strcmp(op->op_name, name)) return 1;
    return 0;
}

// The instruction set that the kernels use on this machine.
REUSE_EXPORT const char* reuse_kernels_name() { return reuse::kernels().name; }
