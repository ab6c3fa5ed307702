"""Programs: networks that are traced once, saved, and run without Paddle's dygraph mode."""

from toolkit.inference.engines import TITLES, TO_TRY, Engine, Floats, TracedProgram
from toolkit.inference.onnx import OnnxSession, convert_program, onnx_is_installed
from toolkit.inference.program import save_program, unwrapped
from toolkit.inference.session import InferenceSession
from toolkit.inference.trust import TOLERANCE, Comparison, failure_of, relative_difference, trusted_engine
from toolkit.inference.verdicts import structure_of

__all__ = [
    "TITLES",
    "TOLERANCE",
    "TO_TRY",
    "Comparison",
    "Engine",
    "Floats",
    "InferenceSession",
    "OnnxSession",
    "TracedProgram",
    "convert_program",
    "failure_of",
    "onnx_is_installed",
    "relative_difference",
    "save_program",
    "structure_of",
    "trusted_engine",
    "unwrapped",
]
