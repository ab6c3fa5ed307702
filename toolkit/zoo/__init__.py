"""Networks: their specifications, every network as a list of stages, heads and weights."""

from toolkit.zoo.catalogue import ListedNetwork, find_networks
from toolkit.zoo.create import create_network
from toolkit.zoo.imagenet import imagenet_classes
from toolkit.zoo.load import load_weights
from toolkit.zoo.network import StagedNetwork
from toolkit.zoo.profile import NetworkProfile, StageProfile, profile_network
from toolkit.zoo.registry import get_spec, list_networks
from toolkit.zoo.render import networks_legend, networks_table, profile_legend, profile_table
from toolkit.zoo.resolve import resolve_weights
from toolkit.zoo.sizes import check_image_size
from toolkit.zoo.spec import Auxiliary, NetworkSpec, PretrainedWeights, Stage, stage
from toolkit.zoo.unpickle import read_pickle
from toolkit.zoo.weights import read_weights, write_weights

__all__ = [
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
]
