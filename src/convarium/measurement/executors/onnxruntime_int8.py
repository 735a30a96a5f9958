"""onnxruntime on the CPU, with weights and activations of 8 bits (`portable.onnx_int8_file`)."""

from convarium.measurement.executors.onnxruntime import onnxruntime as onnxruntime_int8

__all__ = ["onnxruntime_int8"]
