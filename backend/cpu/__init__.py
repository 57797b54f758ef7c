"""Native kernels of the `ai.reuse` operators: an onnxruntime custom-op library."""
