"""Networks: tables of facts, every network as a list of stages, heads and weights."""

from toolkit.zoo.chain import StageChain
from toolkit.zoo.create import create_network
from toolkit.zoo.fit import load_weights
from toolkit.zoo.imagenet import imagenet_classes
from toolkit.zoo.network import StagedNetwork, check_image_size
from toolkit.zoo.resolve import resolve_weights
from toolkit.zoo.spec import NetworkSpec, PretrainedWeights, Stage, stage
from toolkit.zoo.table import get_spec, list_networks
from toolkit.zoo.unpickle import read_pickle
from toolkit.zoo.weights import read_weights, write_weights

__all__ = [
    "NetworkSpec",
    "PretrainedWeights",
    "Stage",
    "StageChain",
    "StagedNetwork",
    "check_image_size",
    "create_network",
    "get_spec",
    "imagenet_classes",
    "list_networks",
    "load_weights",
    "read_pickle",
    "read_weights",
    "resolve_weights",
    "stage",
    "write_weights",
]
