"""Packaging. Everything else (ruff, mypy, pytest) is configured in pyproject.toml.

Two dependencies have several distributions of one module, only one of which may be installed: Paddle (CPU, GPU, ...)
and OpenCV (with and without a window system). A distribution that is already installed is kept. To use a GPU, install
the GPU build first, then the toolkit::

    python -m pip install paddlepaddle-gpu==2.6.2   # the last one on PyPI; 3.x comes from Paddle's index
    python -m pip install -e .
"""

import re
import sysconfig
from importlib.metadata import distributions
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


def one_of(default: str, *others: str) -> str:
    """Return the first of ``others`` that is installed in the target environment, or ``default``."""
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    names = (found.metadata["Name"] or "" for found in distributions(path=list(paths)))
    installed = {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    return next((name for name in others if name in installed), default)


README = HERE / "README.md"

setup(
    name="paddle-finetune-toolkit",
    version=read_version(),
    description="Fine-tune PaddlePaddle's model zoo on your own images",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["toolkit", "toolkit.*"]),
    package_data={
        "toolkit": ["py.typed"],
        "toolkit.advise": ["templates/*", "thresholds.json"],
        "toolkit.explain": ["templates/*"],
        "toolkit.pages": ["templates/*"],
        "toolkit.zoo": ["*.txt"],
    },
    python_requires=">=3.10",
    install_requires=[
        one_of("paddlepaddle>=2.6.2", "paddlepaddle-gpu", "paddlepaddle-xpu", "paddlepaddle-dcu"),
        "setuptools",  # imported but not declared by paddle
        "numpy",
        one_of("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
        "pillow>=11.3",  # reads AVIF
        "simplejpeg",  # decodes JPEGs and detects damage
        "scipy",
        "scikit-learn",
        "threadpoolctl",
        "joblib",
        "matplotlib",
        "jinja2",
        "visualdl",
        "pydantic>=2.7",
        "pyyaml",
        "rich",
        "requests",
        "safetensors",
        "typing-extensions",
    ],
    extras_require={
        # See above: install it before the toolkit, or switch afterwards (README, "GPU").
        "gpu": ["paddlepaddle-gpu==2.6.2"],
        # What paddleclas 2.6.0 needs in addition. Its pins (numpy==1.24.4, gast==0.3.3, opencv-python<=4.6.0.66)
        # downgrade other packages on Python 3.11 and cannot be met on newer versions. Install it like this:
        #     pip install -e ".[clas]" && pip install --no-deps paddleclas==2.6.0
        "clas": ["faiss-cpu", "prettytable", "six", "tqdm"],
        "onnx": ["onnxruntime", "paddle2onnx"],
        "tiff": ["tifffile"],  # images of more than four bands
        "fast": ["numba"],  # convolutions on a CPU
        "dev": [
            "pytest",
            "pytest-timeout",
            "numba",
            "tifffile",
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
