// Run DIR/model.reuse.onnx in an onnxruntime of one's own: native kernels, and the state corrected where it lies.
//
//     python examples/initial_state.py DIR
//     c++ -std=c++17 examples/native_kernels.cpp -lonnxruntime -o native_kernels
//     ./native_kernels DIR "$(python -c 'from reuse_compiler.backend.cpu import library; print(library())')"
#include <onnxruntime_cxx_api.h>

#include <fstream>
#include <string>
#include <vector>

int main(int, char** arguments) {
    const std::string folder = arguments[1];
    Ort::Env env;
    Ort::SessionOptions options;
    options.RegisterCustomOpsLibrary(arguments[2]);
    Ort::Session session(env, (folder + "/model.reuse.onnx").c_str(), options);
    Ort::IoBinding binding(session);
    Ort::AllocatorWithDefaultOptions allocator;
    std::vector<Ort::Value> inputs;
    for (std::size_t number = 0; number < session.GetInputCount(); ++number) {
        const std::string name = session.GetInputNameAllocated(number, allocator).get();
        const Ort::TypeInfo type = session.GetInputTypeInfo(number);
        const std::vector<std::int64_t> shape = type.GetTensorTypeAndShapeInfo().GetShape();
        const auto element = type.GetTensorTypeAndShapeInfo().GetElementType();
        inputs.push_back(Ort::Value::CreateTensor(allocator, shape.data(), shape.size(), element));
        binding.BindInput(name.c_str(), inputs.back());
        if (name.rfind("past_", 0) != 0) continue;
        binding.BindOutput(("present_" + name.substr(5)).c_str(), inputs.back());  // the same memory
        std::ifstream start(folder + "/state/" + std::to_string(number) + ".bin", std::ios::binary);
        start.seekg(0, std::ios::end);
        const std::streamoff bytes = start.tellg();
        start.seekg(0).read(inputs.back().GetTensorMutableData<char>(), bytes);
    }
    for (std::size_t number = 0; number < session.GetOutputCount(); ++number) {
        const std::string name = session.GetOutputNameAllocated(number, allocator).get();
        if (name.rfind("present_", 0) != 0) binding.BindOutput(name.c_str(), allocator.GetInfo());
    }
    for (int frame = 0; frame < 100; ++frame) {
        // Fill the model's own inputs here: inputs[..].GetTensorMutableData<float>().
        session.Run(Ort::RunOptions{}, binding);
        const std::vector<Ort::Value> outputs = binding.GetOutputValues();
    }
}
