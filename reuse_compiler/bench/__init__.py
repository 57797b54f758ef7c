"""Wall clock: stock onnxruntime on the original model beside the reuse session, and beside what is simpler than reuse."""
