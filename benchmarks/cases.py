"""The cases, one row each: who does what, what is equal and what is not, and the toolkit's goal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.works import ExtractWork, RowsWork, TrainWork, Work

__all__ = ["CASES", "OURS", "PEERS", "Case", "Contender"]

OURS = "ours"
PEERS = {"torch": "PyTorch + torchvision", "keras": "Keras 3 on TensorFlow", "paddle_fit": "Paddle's Model.fit"}
"""Programs ``peers/<name>_peer.py``, each in an environment installed from ``peers/<name>.txt``."""


@dataclass(frozen=True)
class Contender:
    """One row of a case's table.

    Attributes:
        label: Shown in the table.
        program: ``tools/train.py`` or a file of ``benchmarks/ours``, or a name of ``PEERS``.
        work: Its workload.
        extra: Additional arguments; ``{work}`` is replaced by the benchmark's folder.
        subject: The others are compared with it.
        once: Too slow to run in more than the first round.
        warm: Runs once before the first round, without being measured.
    """

    label: str
    program: str
    work: Work
    extra: tuple[str, ...] = ()
    subject: bool = False
    once: bool = False
    warm: bool = False

    @property
    def environment(self) -> str:
        """``ours``, or the peer whose environment it needs."""
        return self.program if self.program in PEERS else OURS


@dataclass(frozen=True)
class Case:
    """Contenders that do the same job.

    Attributes:
        name: For ``--only``.
        title: What is done.
        contenders: Who does it, in the order of the rounds.
        equal: What all contenders have in common.
        different: What is not comparable; empty if everything is.
        goal: What the toolkit aims for.
        clock: ``process``: the whole process, from start to exit; ``section``: the part that the program marks, after
            its imports.
    """

    name: str
    title: str
    contenders: tuple[Contender, ...]
    equal: str
    different: str = ""
    goal: str = ""
    clock: Literal["process", "section"] = "process"


TRAIN, MARKED_TRAIN, ADVISE = "tools/train.py", "ours/train.py", "tools/advise.py"
EXTRACT, ROWS = "ours/extract.py", "ours/rows.py"
PROBE = TrainWork("mobilenet_v2", "photos_1000_300", freeze="all", epochs=20)
AUGMENTED_PROBE = TrainWork("mobilenet_v2", "photos_1000_300", freeze="all", epochs=20, augment=True)
LAST_STAGES = TrainWork("mobilenet_v2", "photos_500_150", freeze="14", epochs=10)
FULL_EPOCH = TrainWork("mobilenet_v2", "photos_1000_300", freeze="none", epochs=1)
FULL = {
    name: TrainWork(name, "photos_200_50", freeze="none", epochs=1, batch=16) for name in ("mobilenet_v2", "resnet18")
}


def _ours(label: str, work: Work, *overrides: str, program: str = TRAIN, warm: bool = False) -> Contender:
    extra = tuple(word for override in overrides for word in ("-o", override))
    return Contender(label, program, work, extra, subject=True, warm=warm)


def _peer(name: str, work: Work, *, once: bool = False) -> Contender:
    return Contender(PEERS[name], name, work, once=once)


def _extraction(network: str, goal: str) -> Case:
    def row(label: str, engine: str, batch: int = 0) -> Contender:
        return Contender(label, EXTRACT, ExtractWork(network, engine, batch), subject=not batch)

    return Case(
        name=f"extract_{network}",
        title=f"Pooled features of 512 images, {network}, 224 px",
        contenders=(
            row("Paddle Inference with oneDNN", "paddle"),
            row("ONNX Runtime", "onnx"),
            row("dygraph, batch 1", "dygraph", 1),
            row("dygraph, batch 16", "dygraph", 16),
        ),
        equal="one process, all cores, images in memory as normalised float32; loading and tracing do not count; "
        "dygraph has the same thread and MKL settings, and runs in eval mode under no_grad",
        goal=goal,
        clock="section",
    )


_SHARED = (
    "two processes share each batch, BatchNorm sees half of it, and their CPU-seconds are reported as twice the time"
)


def _full(network: str, goal: str, different: str) -> Case:
    return Case(
        name=f"full_{network}",
        title=f"Full fine-tuning of {network}, one epoch of 200 images (evaluated on 50), batch 16, 224 px",
        contenders=(
            _ours("ours", FULL[network], program=MARKED_TRAIN),
            _ours("ours, two processes", FULL[network], "train.processes=2", program=MARKED_TRAIN),
            _peer("paddle_fit", FULL[network]),
            _peer("torch", FULL[network]),
        ),
        equal="images, initial weights of the backbone, resize and centre crop, SGD with momentum; the clock starts "
        "after the imports, and building the network, decoding and evaluation count",
        different="; ".join(filter(None, (different, _SHARED))),
        goal=goal,
        clock="section",
    )


_PROBE_EQUAL = (
    "1000 training and 300 validation JPEGs, ImageNet weights (logits agree, see below), 224 px, batch 32, 20 epochs, "
    "SGD with momentum 0.9 at learning rate 0.01, evaluation after every epoch, whole process from start to exit"
)
_PROBE_DIFFERENT = (
    "ours also writes a record, checkpoints and the proof that frozen weights did not change; Keras keeps decoded "
    "images in memory (as its guides advise), PyTorch and Paddle decode them in every epoch"
)

_EXTRAS = ("export.enabled=true", "export.report=true", "log.visualdl=true")

CASES: tuple[Case, ...] = (
    Case(
        name="linear_probe",
        title="A linear head on the frozen MobileNetV2, 20 epochs, cold cache",
        contenders=(
            _ours("ours, Paddle Inference", PROBE, "cache.engine=paddle"),
            _ours("ours, ONNX Runtime", PROBE, "cache.engine=onnx"),
            replace(
                _ours("ours, ONNX Runtime, with export, report and VisualDL", PROBE, "cache.engine=onnx", *_EXTRAS),
                subject=False,
            ),
            _peer("torch", PROBE),
            _peer("keras", PROBE),
            _peer("paddle_fit", PROBE, once=True),
        ),
        equal=_PROBE_EQUAL,
        different=_PROBE_DIFFERENT,
        goal="at least 25 times as fast as PyTorch and Keras, at equal or better accuracy",
    ),
    Case(
        name="linear_probe_views",
        title="The same with augmentation: ours keeps 4 views of each image, the others generate one in every epoch",
        contenders=(
            _ours("ours, Paddle Inference", AUGMENTED_PROBE, "cache.engine=paddle", "cache.views=4"),
            _ours("ours, ONNX Runtime", AUGMENTED_PROBE, "cache.engine=onnx", "cache.views=4"),
            _peer("torch", AUGMENTED_PROBE),
            _peer("keras", AUGMENTED_PROBE),
            _peer("paddle_fit", AUGMENTED_PROBE, once=True),
        ),
        equal=f"{_PROBE_EQUAL}; random crop, mirroring, brightness, contrast and saturation of the same strength",
        different=f"{_PROBE_DIFFERENT}; 4 views instead of 20; every library draws its own random numbers",
        goal="at least 8 times as fast as PyTorch and Keras",
    ),
    Case(
        name="last_stages",
        title="Fine-tuning above the first 14 stages of MobileNetV2, 10 epochs, 500 + 150 images",
        contenders=(
            _ours("ours, cold cache", LAST_STAGES),
            Contender("ours, without a cache", TRAIN, LAST_STAGES, ("-o", "cache.enabled=false")),
        ),
        equal="everything but the cache: seed, order of the images, threads",
        goal="the cache makes it at least 2.5 times as fast",
    ),
    _extraction("mobilenet_v2", "images per CPU-second: Paddle Inference 3 times dygraph, ONNX Runtime 5 times"),
    _extraction("resnet18", "images per CPU-second: Paddle Inference 1.5 times dygraph, ONNX Runtime 1.7 times"),
    Case(
        name="warm_cache",
        title="A second run on the same images: 20 epochs of the head, after the imports",
        contenders=(
            _ours("ours, warm cache", PROBE, "cache.dir={work}/cache/warm", program=MARKED_TRAIN, warm=True),
            Contender("ours, cold cache", MARKED_TRAIN, PROBE),
        ),
        equal="everything but the cache; the clock starts after the imports",
        goal="under 5 CPU-seconds",
        clock="section",
    ),
    _full("mobilenet_v2", "1.8 times as fast as Paddle as installed; 0.8 of PyTorch's speed or better", ""),
    _full(
        "resnet18",
        "2.4 times as fast as Paddle as installed; 0.8 of PyTorch's speed or better",
        "the weights are random, so the accuracy after one epoch is meaningless",
    ),
    Case(
        name="advice",
        title="Advice on 1,000 images, compared with one epoch of full fine-tuning of MobileNetV2 on them",
        contenders=(
            _ours("advice, cold cache", FULL_EPOCH, program=ADVISE),
            replace(_ours("one epoch of full fine-tuning", FULL_EPOCH), subject=False),
        ),
        equal="images, network and whole processes, from start to exit",
        different="the epoch ends with an evaluation on the 300 validation images, which the advice does not read",
        goal="advice costs less than the epoch",
    ),
    Case(
        name="memory",
        title="Peak memory: filling a cache with synthetic features, 1280 per image, and training a head for one epoch",
        contenders=(
            Contender("10,000 images", ROWS, RowsWork(10_000), subject=True),
            Contender("100,000 images", ROWS, RowsWork(100_000)),
        ),
        equal="everything but the number of images",
        different="times differ because there is ten times as much work: this case is about peak memory",
        goal="constant in the number of images",
    ),
)
