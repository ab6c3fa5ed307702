"""The public names of every package, pinned: a change of them is a decision, and stands in the changelog."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]

PUBLIC_NAMES: dict[str, list[str]] = {
    "toolkit": [
        "Config",
        "Predictor",
        "RunResult",
        "ToolkitError",
        "Trainer",
        "create_network",
        "load_config",
    ],
    "toolkit.advise": [
        "Advice",
        "Evidence",
        "Measurement",
        "Thresholds",
        "advice_text",
        "advise",
        "advise_images",
        "load_thresholds",
        "logme",
        "settle_preset",
    ],
    "toolkit.bakeoff": [
        "USUAL_RECIPE",
        "BakeOff",
        "Candidate",
        "Comparison",
        "Convergence",
        "Difference",
        "LeftOut",
        "Trial",
        "bake_off",
        "candidate_names",
        "compare_presets",
        "comparison_table",
    ],
    "toolkit.cache": [
        "CacheKey",
        "DtypeOverflowError",
        "Entry",
        "EntryInfo",
        "FeatureStore",
        "Features",
        "Problem",
        "Writer",
        "feature_bytes",
    ],
    "toolkit.callbacks": [
        "CSVLogger",
        "Checkpoint",
        "EarlyStopping",
        "JSONLLogger",
        "LambdaCallback",
        "ModelCheckpoint",
        "MonitorCallback",
        "ReduceLROnPlateau",
        "RemoteMonitor",
        "TerminateOnNaN",
        "VisualDLLogger",
        "WeightAveraging",
        "load_custom",
        "load_function",
        "read_token",
        "stage_graph",
        "swapped_weights",
    ],
    "toolkit.config": [
        "CacheConfig",
        "CallbacksConfig",
        "CheckpointConfig",
        "Config",
        "CustomCallbackConfig",
        "DataConfig",
        "EarlyStoppingConfig",
        "ExportConfig",
        "HeadConfig",
        "LogConfig",
        "LogFileConfig",
        "ModelCheckpointConfig",
        "ModelConfig",
        "MonitorConfig",
        "PhaseConfig",
        "PlateauConfig",
        "Preset",
        "RemoteMonitorConfig",
        "ScheduleConfig",
        "SourceConfig",
        "TrainConfig",
        "TransferConfig",
        "WeightAveragingConfig",
        "dump_config",
        "host_of",
        "load_config",
        "make_config",
        "with_overrides",
    ],
    "toolkit.data": [
        "IMAGENET_MEAN",
        "IMAGENET_STD",
        "IMAGE_EXTENSIONS",
        "ArrayImages",
        "Augmentation",
        "Batch",
        "BatchLoader",
        "DataBundle",
        "FileImages",
        "ImageSet",
        "PictureCache",
        "Preprocessing",
        "as_rgb",
        "build_data",
        "decode_image",
        "is_image_file",
        "normalisation",
        "read_image",
    ],
    "toolkit.data.formats": [
        "read_csv",
        "read_cub200",
        "read_digits",
        "read_digits_as_numbers",
        "read_folder",
        "read_list",
        "read_paddle_set",
        "read_vector_list",
    ],
    "toolkit.deploy": [
        "Dashboard",
        "ImagePredictor",
        "Manifest",
        "NetworkPredictor",
        "Prediction",
        "Predictor",
        "check_export",
        "expand_images",
        "export_job",
        "export_model",
        "export_run",
        "predictions_csv",
        "predictions_table",
        "serve",
        "show_examples",
    ],
    "toolkit.engine": [
        "FeatureCache",
        "FeatureLoader",
        "Job",
        "Request",
        "RunFolder",
        "RunResult",
        "Trainer",
        "TrainingState",
        "build_job",
        "classification_metrics",
        "evaluate",
        "evaluate_job",
        "predict_outputs",
    ],
    "toolkit.engine.solvers": [
        "LinearSolution",
        "StackedViews",
        "Trial",
        "check_exact_solver",
        "fit_linear_head",
        "install_linear_solution",
        "knn_baseline",
    ],
    "toolkit.explain": [
        "Calibration",
        "comparison_statements",
        "lead_statements",
        "measure_calibration",
        "wilson_interval",
        "write_comparison",
        "write_report",
    ],
    "toolkit.inference": [
        "TITLES",
        "TOLERANCE",
        "TO_TRY",
        "Comparison",
        "Engine",
        "Floats",
        "InferenceSession",
        "OnnxSession",
        "Program",
        "convert_program",
        "evaluating",
        "failure_of",
        "onnx_is_installed",
        "relative_difference",
        "save_program",
        "structure_of",
        "trusted_engine",
        "unwrapped",
    ],
    "toolkit.pages": [
        "new_environment",
        "write_page",
    ],
    "toolkit.pickles": [
        "BadPickleError",
        "RefusedPickleError",
        "read_plain",
        "shortened",
    ],
    "toolkit.transfer": [
        "PRESETS",
        "SIZES",
        "DenseHead",
        "PhasePlan",
        "Plan",
        "PresetSpec",
        "Rates",
        "dense_lr",
        "fingerprint",
        "get_preset",
        "moved",
        "plan_table",
        "resolve_cut",
        "resolve_plan",
        "set_multipliers",
        "spec_of",
    ],
    "toolkit.zoo": [
        "Auxiliary",
        "ListedNetwork",
        "NetworkProfile",
        "NetworkSpec",
        "PretrainedWeights",
        "Stage",
        "StageProfile",
        "StagedNetwork",
        "check_image_size",
        "create_network",
        "find_networks",
        "get_spec",
        "imagenet_classes",
        "list_networks",
        "load_weights",
        "networks_legend",
        "networks_table",
        "profile_legend",
        "profile_network",
        "profile_table",
        "read_pickle",
        "read_weights",
        "resolve_weights",
        "stage",
        "write_weights",
    ],
    "toolkit.zoo.fast_convolutions": [
        "fast_convolutions",
        "is_installed",
        "kernels_problem",
        "suitable_layers",
    ],
}
"""Package -> its ``__all__``."""


def in_order(names: list[str]) -> list[str]:
    """CONSTANTS, then Classes, then functions, each in alphabetical order with numbers by value (ruff's RUF022)."""

    def key(name: str) -> tuple[int, list[int | str]]:
        kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
        return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]

    return sorted(names, key=key)


def test_every_package_is_pinned() -> None:
    packages = {".".join(path.relative_to(REPO).parent.parts) for path in (REPO / "toolkit").rglob("__init__.py")}
    assert packages == set(PUBLIC_NAMES)


@pytest.mark.parametrize("package", PUBLIC_NAMES)
def test_public_names(package: str) -> None:
    module = import_module(package)
    assert list(module.__all__) == PUBLIC_NAMES[package]
    assert list(module.__all__) == in_order(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_the_top_names_are_those_of_their_packages() -> None:
    import toolkit

    for name in toolkit.__all__:
        home = import_module(toolkit._HOME[name])
        assert getattr(toolkit, name) is getattr(home, name)
        assert name in home.__all__
    assert set(toolkit._HOME) == set(toolkit.__all__)
    assert set(toolkit.__all__) <= set(dir(toolkit))


def test_an_unknown_name_is_an_attribute_error() -> None:
    import toolkit

    with pytest.raises(AttributeError, match="Trianer"):
        _ = toolkit.Trianer


def test_the_order_is_ruffs() -> None:
    assert in_order(["write", "Batch", "IMAGE_SIZE", "IMAGENET_MEAN", "Array"]) == [
        "IMAGENET_MEAN", "IMAGE_SIZE", "Array", "Batch", "write",
    ]  # fmt: skip
