"""onnxruntime on the CPU, with weights and activations of 8 bits (`portable.quantized`)."""

from convarium.measurement.executors.onnxruntime import onnxruntime as onnxruntime_int8

__all__ = ["onnxruntime_int8"]
