"""The zoo as a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from toolkit.core.errors import NetworkError, ToolkitError
from toolkit.zoo import catalogue as listing_module
from toolkit.zoo import find_networks, get_spec, list_networks, networks_table, profile_network, profile_table
from toolkit.zoo import remeasure as remeasure_module
from toolkit.zoo.measurements import Measured, measured_networks, write_measured
from toolkit.zoo.remeasure import remeasure


def names(text: str = "", *, pretrained: bool = False) -> list[str]:
    return [network.name for network in find_networks(text, pretrained=pretrained)]


def test_all_networks_are_listed() -> None:
    assert sorted(names()) == list_networks()


def test_order_is_by_family_and_size_with_paddles_own_first() -> None:
    found = names()
    libraries = [get_spec(name).library for name in found]
    assert libraries == sorted(libraries)
    assert [name for name in found if name.startswith("resnet")] == [f"resnet{n}" for n in (18, 34, 50, 101, 152)]
    widths = [name.removeprefix("shufflenet_v2_x") for name in found if name.startswith("shufflenet_v2_x")]
    assert widths == ["0_25", "0_33", "0_5", "1_0", "1_5", "2_0"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("wide", ["wide_resnet50_2", "wide_resnet101_2"]),
        ("WIDE*_2", ["wide_resnet50_2", "wide_resnet101_2"]),
        ("vgg1[13]", ["vgg11", "vgg13"]),
        ("vgg??", ["vgg11", "vgg13", "vgg16", "vgg19"]),
        ("clas/efficientnetb0", ["clas/EfficientNetB0", "clas/EfficientNetB0_small"]),
    ],
)
def test_filter(text: str, found: list[str]) -> None:
    assert names(text) == found


def test_only_pretrained() -> None:
    assert names("vgg1[16]*", pretrained=True) == ["vgg16"]
    with pytest.raises(NetworkError, match="vgg11, vgg11_bn"):
        find_networks("vgg11*", pretrained=True)


def test_nothing_found_names_near_ones() -> None:
    with pytest.raises(NetworkError, match=r"no network matches 'mobilnet_v2' . did you mean mobilenet_v2"):
        find_networks("mobilnet_v2")


def test_facts_are_the_rows() -> None:
    (found,) = find_networks("resnet50", pretrained=True)[:1]
    assert (found.name, found.parameters, found.stages, found.input_size) == ("resnet50", 25_557_032, 17, 224)
    assert (found.min_size, found.pretrained, found.top1) == (32, True, get_spec("resnet50").top1)
    assert found.to_json()["macs"] == found.macs == measured_networks()["resnet50"].macs


def test_unknown_values_are_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "measured_networks", lambda: {})
    (found,) = find_networks("lene[t]")
    assert (found.parameters, found.macs, found.stages, found.top1) == (None, None, None, None)
    table = networks_table([found])
    assert [next(iter(column.cells)) for column in table.columns] == ["lenet", "-", "-", "-", "28", "-", "-"]


def drawn(table: object, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as heard:
        console.print(table)
    return [line.rstrip() for line in heard.get().splitlines()]


def test_tables_fit_a_terminal_of_100_columns() -> None:
    lines = drawn(networks_table(find_networks("resn")), 100)
    assert any("wide_resnet101_2" in line and "127 M" in line and "22.8" in line for line in lines)
    lines = drawn(profile_table(profile_network("inception_v3", 96)), 100)
    assert any("inception_block_list.10" in line and "2048 x 1 x 1" in line and "1311" in line for line in lines)


# Measuring again


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Measured]:
    """What a second measurement of three networks writes."""
    rows = {"lenet": Measured(1, 2, 3, 28), "resnet18": Measured(4, 5, 6, 224), "gone": Measured(7, 8, 9, 1)}
    monkeypatch.setattr(remeasure_module, "list_networks", lambda: ["clas/PPLCNet_x1_0", "lenet", "resnet18"])
    monkeypatch.setattr(remeasure_module, "measured_networks", lambda: rows)
    monkeypatch.setattr(remeasure_module, "write_measured", lambda found: rows.update(found, gone=None))

    def measure(name: str) -> Measured:
        if name.startswith("clas/"):
            raise ToolkitError(f"{name}: PaddleClas is not installed")
        return Measured(10, 20, 30, 40)

    monkeypatch.setattr(remeasure_module, "measure", measure)
    return rows


def test_what_cannot_be_measured_stays(written: dict[str, Measured]) -> None:
    written["clas/PPLCNet_x1_0"] = Measured(11, 12, 13, 14)
    assert remeasure() == ["clas/PPLCNet_x1_0"]
    assert written["clas/PPLCNet_x1_0"] == Measured(11, 12, 13, 14)
    assert written["lenet"] == written["resnet18"] == Measured(10, 20, 30, 40)
    assert written["gone"] is None


def test_only_some_are_measured(written: dict[str, Measured]) -> None:
    assert remeasure(["res*"]) == []
    assert written["resnet18"].parameters == 10
    assert written["lenet"].parameters == 1
    assert remeasure(missing=True) == ["clas/PPLCNet_x1_0"]
    assert written["lenet"].parameters == 1


def test_the_file_reads_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "measured.txt"
    write_measured({"b": Measured(4, 5, 6, 7), "a": Measured(0, 1, 2, 3)}, path)
    assert path.read_text().splitlines() == [
        "name\tparameters\tmacs\tstages\timage_size",
        "a\t0\t1\t2\t3",
        "b\t4\t5\t6\t7",
    ]
