"""Programs: networks traced once, saved, and run without Paddle's dygraph mode."""

from toolkit.inference.onnx import OnnxSession, convert_program, onnx_is_installed
from toolkit.inference.program import evaluating, save_program, unwrapped
from toolkit.inference.session import InferenceSession

__all__ = [
    "InferenceSession",
    "OnnxSession",
    "convert_program",
    "evaluating",
    "onnx_is_installed",
    "save_program",
    "unwrapped",
]
