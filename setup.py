"""Packaging. Everything else (ruff, mypy, pytest) is configured in pyproject.toml.

Paddle (CPU, GPU, ...) and OpenCV (with and without a window system) have several distributions of one module, only one
of which may be installed. Therefore they are extras: a wheel never replaces the ones that are already there::

    pip install "paddle-finetune[all]"     # a new environment on a CPU: Paddle, OpenCV and the fast engines
    pip install paddle-finetune            # Paddle and OpenCV are already there, in whatever build
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def read_version() -> str:
    """Read ``__version__`` as text, because importing the package would require its dependencies."""
    text = (HERE / "toolkit" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("toolkit/__init__.py has no __version__ line")
    return found.group(1)


CPU = ["paddlepaddle>=2.6.2"]
OPENCV = ["opencv-python-headless"]
FAST = ["numba"]  # convolutions on a CPU
# For Python 3.13 there is no paddle2onnx of today: pip would take 0.9.2, and fail to compile its old onnx.
ONNX = [f'{name}; python_version < "3.13"' for name in ("onnxruntime", "paddle2onnx>=1.0")]
TIFF = ["tifffile"]  # images of more than four bands
README = HERE / "README.md"

setup(
    name="paddle-finetune",
    version=read_version(),
    description="Fine-tune PaddlePaddle's model zoo on your own images",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=[*find_packages(include=["toolkit", "toolkit.*"]), "toolkit.configs"],
    package_dir={"toolkit.configs": "configs"},
    entry_points={"console_scripts": ["paddle-finetune=toolkit.commands.cli:main"]},
    package_data={
        "toolkit": ["py.typed"],
        "toolkit.advise": ["templates/*", "thresholds.json"],
        "toolkit.configs": ["*.yaml"],
        "toolkit.explain": ["templates/*"],
        "toolkit.pages": ["templates/*"],
        "toolkit.zoo": ["*.txt"],
    },
    python_requires=">=3.10",
    install_requires=[
        "setuptools",  # imported but not declared by paddle
        "numpy",
        "pillow>=11.3",  # reads AVIF
        "simplejpeg",  # decodes JPEGs and detects damage
        "scipy",
        "scikit-learn",
        "threadpoolctl",
        "joblib",
        "matplotlib",
        "jinja2",
        "pandas",
        "visualdl",
        "pydantic>=2.7",
        "pyyaml",
        "rich",
        "requests",
        "safetensors",
        "typing-extensions",
    ],
    extras_require={
        "all": [*CPU, *OPENCV, *FAST, *ONNX, *TIFF],
        "cpu": CPU,
        "gpu": ["paddlepaddle-gpu==2.6.2"],  # the last one on PyPI; 3.x comes from Paddle's index
        "opencv": OPENCV,
        "fast": FAST,
        "onnx": ONNX,
        "tiff": TIFF,
        # What paddleclas 2.6.0 needs in addition. Its pins (numpy==1.24.4, gast==0.3.3, opencv-python<=4.6.0.66)
        # downgrade other packages on Python 3.11 and cannot be met on newer versions. Install it like this:
        #     pip install -e ".[clas]" && pip install --no-deps paddleclas==2.6.0
        "clas": ["faiss-cpu", "prettytable", "six", "tqdm"],
        "docs": ["jieba", "mkdocs<2", "mkdocs-material", "mkdocstrings[python]", "ruff"],  # `make docs`
        "dev": [
            *FAST,
            *TIFF,
            "ipykernel",  # runs the notebook in docs/
            "nbclient",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "mypy",
            "pre-commit",
            "types-PyYAML",
            "types-requests",
        ],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
