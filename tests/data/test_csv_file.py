from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import DataBundle, build_data
from toolkit.data.formats import read_csv

CHEST = """image,findings
a/000,Atelectasis|Effusion
a/001,
a/002,Effusion
a/003,Nodule | Effusion
a/004,Nodule
a/005,Atelectasis
"""


@pytest.fixture
def root(make_folder: Callable[..., Path]) -> Path:
    return make_folder({"a": 12, "图片": 2}, "tables")


def write(root: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> None:
    (root / name).write_text(text, encoding=encoding)


def build(root: Path, task: str, **values: object) -> DataBundle:
    return build_data(DataConfig.model_validate({"format": "csv", "root": root, **values}), task)  # type: ignore[arg-type]


def rows(data: DataBundle) -> dict[str, list[float]]:
    """Labels by the stem of the file, over all parts."""
    return {
        Path(images.path(i)).stem: images.labels[i].tolist()
        for images in data.splits.values()
        for i in range(len(images))
    }


def classes_table(mark: str = ",") -> str:
    names = ["2", "10", "2", "10", "2", "10"]
    return "\n".join([f"path{mark}age{mark}kind", *(f"a/{i:03d}.jpg{mark}7{mark}{n}" for i, n in enumerate(names))])


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_classes_come_in_natural_order_whatever_the_separator(root: Path, mark: str, encoding: str) -> None:
    write(root, classes_table(mark), encoding=encoding)
    data = build(root, "classification", label_columns=["kind"])
    assert data.classes == ("2", "10")
    assert data.task == "classification"
    assert rows(data) == {f"{i:03d}": i % 2 for i in range(6)}
    assert data.train.labels.dtype == np.int64
    assert data.counts() == {"train": {"2": 2, "10": 2}, "val": {"2": 1, "10": 1}}


def test_windows_line_ends_quotes_blank_lines_and_chinese(root: Path) -> None:
    text = '\r\n图,类\r\n"图片/000.jpg","猫, 大"\r\n\r\na/001.jpg,狗\r\n,\r\na/002.jpg,"猫, 大"\r\n a/003.jpg , 狗 \r\n'
    (root / "labels.csv").write_bytes(text.encode("utf-8-sig"))
    data = build(root, "classification")
    assert data.classes == ("狗", "猫, 大")
    assert sorted(rows(data).items()) == [("000", 1), ("001", 0), ("002", 1), ("003", 0)]
    assert data.train.read(0).shape == (40, 48, 3)


def test_row_numbers_without_a_name_are_no_column(root: Path) -> None:
    write(root, ",image,x\n0,a/000.jpg,1\n1,a/001.jpg,2\n2,a/002.jpg,3\n3,a/003.jpg,4\n")
    assert build(root, "regression").classes == ("x",)


@pytest.mark.parametrize(
    ("header", "image"),
    [("id,path,x", "path"), ("id,Image,x", "Image"), ("filename,file,x", "file"), ("name,id,x", "name")],
)
def test_the_image_column_is_found(root: Path, header: str, image: str) -> None:
    columns = header.split(",")
    lines = [",".join(f"a/{i:03d}.jpg" if name == image else str(i) for name in columns) for i in range(6)]
    write(root, "\n".join([header, *lines]))
    data = build(root, "regression")
    assert data.classes == tuple(name for name in columns if name != image)
    assert set(rows(data)) == {f"{i:03d}" for i in range(6)}


def test_several_columns_of_flags(root: Path) -> None:
    lines = [f"a/{i:03d}.jpg,{i % 2},{['True', '0.0', 'FALSE'][i % 3]},{int(i > 3)}.0" for i in range(12)]
    write(root, "\n".join(["image,cat,dog,猫", *lines]))
    data = build(root, "multilabel")
    assert data.classes == ("cat", "dog", "猫")
    assert data.train.labels.dtype == np.float32
    assert rows(data) == {f"{i:03d}": [i % 2, int(i % 3 == 0), int(i > 3)] for i in range(12)}
    total = sum(data.counts()[part]["猫"] for part in ("train", "val"))
    assert total == 8


def test_one_column_of_names_and_paths_without_extension(root: Path) -> None:
    write(root, CHEST)
    source = read_csv(DataConfig(format="csv", root=root), "multilabel")
    assert source.classes == ("Atelectasis", "Effusion", "Nodule")
    assert source.splits["train"].labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]]
    assert source.splits["train"].path(0) == str(root / "a" / "000.jpg")
    write(root, CHEST.replace("|", " "))
    spaced = read_csv(DataConfig(format="csv", root=root, label_separator=" "), "multilabel")
    assert spaced.splits["train"].labels.tolist() == source.splits["train"].labels.tolist()


def test_extensions_are_tried_in_turn(root: Path) -> None:
    for old, new in {"000.jpg": "000.JPG", "001.jpg": "001.jpeg", "002.jpg": "v1.5.jpg", "003.jpg": "plain"}.items():
        (root / "a" / old).rename(root / "a" / new)
    write(root, "id,x\na/000,1\na/001,2\na/v1.5,3\na/plain,4\na/004,5\na/005.jpg,6\n")
    source = read_csv(DataConfig(format="csv", root=root), "regression")
    names = [Path(source.splits["train"].path(i)).name for i in range(6)]
    assert names == ["000.JPG", "001.jpeg", "v1.5.jpg", "plain", "004.jpg", "005.jpg"]
    write(root, "id,x\na/000,1\na/gone,2\n")
    with pytest.raises(DataError, match=r"1 of 2 images cannot be read: .*a/gone \(missing\)"):
        build(root, "regression")


def test_numbers_and_their_statistics(root: Path) -> None:
    write(root, "\n".join(["file;age;size", *(f"a/{i:03d}.jpg;{i};{-1e3 * i:.1f}" for i in range(12))]))
    data = build(root, "regression", val_fraction=0.25)
    assert (data.classes, data.task, len(data.val)) == (("age", "size"), "regression", 3)
    ages = data.train.labels[:, 0].astype(float)
    mean, std = data.target_statistics()
    assert (mean.dtype, std.dtype, mean.shape) == (np.float64, np.float64, (2,))
    assert np.allclose(mean, [ages.mean(), -1000 * ages.mean()])
    assert np.allclose(std, [ages.std(), 1000 * ages.std()])
    assert data.describe_targets()["train"]["age"] == {
        "mean": ages.mean(), "std": ages.std(), "min": ages.min(), "max": ages.max(),
    }  # fmt: skip
    assert data.counts() == {"train": {"age": 9, "size": 9}, "val": {"age": 3, "size": 3}}
    assert build(root, "regression", classes=["size"]).train.labels.shape[1] == 1


def test_parts_by_column(root: Path) -> None:
    words = ["train", "Training", "val", "validation", "test", "valid", "train", "train"]
    write(root, "\n".join(["path,split,x", *(f"a/{i:03d}.jpg,{word},{i}" for i, word in enumerate(words))]))
    data = build(root, "regression")
    assert data.test is not None
    assert [images.labels[:, 0].tolist() for images in data.splits.values()] == [[0, 1, 6, 7], [2, 3, 5], [4]]
    write(root, "\n".join(["path,fold,x", *(f"a/{i:03d}.jpg,{word},{i}" for i, word in enumerate(words))]))
    assert build(root, "regression", split_column="fold").train.labels[:, 0].tolist() == [0, 1, 6, 7]


def test_parts_by_file(root: Path) -> None:
    write(root, "path,x,y\na/000.jpg,1,2\na/001.jpg,3,4\n", "train.csv")
    write(root, "y,split,path,x\n6,whatever,a/002.jpg,5\n", "val.csv")
    write(root, "path,x,y\na/003.jpg,7,8\n", "held_out.csv")
    write(root, "unused")
    data = build(root, "regression", test_list="held_out.csv")
    assert {part: images.labels.tolist() for part, images in data.splits.items()} == {
        "train": [[1, 2], [3, 4]], "val": [[5, 6]], "test": [[7, 8]],
    }  # fmt: skip


def test_label_file_gives_order_names_and_numbers(root: Path) -> None:
    write(root, "path,kind\na/000.jpg,dog\na/001.jpg,1\na/002.jpg,cat\na/003.jpg,0\n")
    write(root, "dog\ncat\n", "names.txt")
    data = build(root, "classification", label_file="names.txt")
    assert data.classes == ("dog", "cat")
    assert rows(data) == {"000": 0, "001": 1, "002": 1, "003": 0}
    write(root, CHEST)
    write(root, "Nodule\nEffusion\nAtelectasis\n", "names.txt")
    source = read_csv(DataConfig(format="csv", root=root, label_file="names.txt"), "multilabel")
    assert source.splits["train"].labels[0].tolist() == [0, 1, 1]


def test_a_repeated_line_counts_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, CHEST + "a/004.jpg,Nodule\na/004,Nodule\n")
    source = read_csv(DataConfig(format="csv", root=root), "multilabel")
    assert len(source.splits["train"]) == 6
    assert "2 line(s) repeat an image and are left out: a/004.jpg (line 8), a/004 (line 9)" in capsys.readouterr().err
    write(root, CHEST + "a/004.jpg,Effusion\n")
    with pytest.raises(DataError, match=r"labels\.csv:8: a/004\.jpg is in line 6 already, with another label"):
        read_csv(DataConfig(format="csv", root=root), "multilabel")


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "inf", "-inf", "1e39", "old", "1,5", "--1"])
def test_cells_that_are_not_numbers_are_named(root: Path, cell: str) -> None:
    write(root, f"path;age;size\na/000.jpg;1;2\na/001.jpg;2;{cell}\n")
    with pytest.raises(DataError, match=rf"labels\.csv:3: column 'size': '{cell}' is not a (finite )?number"):
        build(root, "regression")


@pytest.mark.parametrize("cell", ["", "2", "-1", "0.5", "cat", "yes"])
def test_cells_that_are_not_flags_are_named(root: Path, cell: str) -> None:
    write(root, f"path,cat,dog\na/000.jpg,1,0\n\na/001.jpg,{cell},1\n")
    with pytest.raises(DataError, match=rf"labels\.csv:4: column 'cat': '{cell}' is not 0 or 1"):
        build(root, "multilabel")


@pytest.mark.parametrize(
    ("task", "text", "values", "message"),
    [
        ("classification", "path,kind\na/000.jpg,\n", {}, r"labels\.csv:2: column 'kind' is empty"),
        ("classification", "path,kind,more\na/000.jpg,b,c\n", {}, r"one column of class names, but .* kind, more"),
        ("classification", "path\na/000.jpg\n", {}, r"no label column besides 'path'"),
        ("regression", "path,x\n,1\n", {}, r"labels\.csv:2: column 'path' is empty"),
        ("regression", "path,x\na/000.jpg,1,2\n", {}, r"labels\.csv:2: 3 cell\(s\), but the header has 2"),
        ("regression", "path,x\na/000.jpg\n", {}, r"labels\.csv:2: 1 cell\(s\), but the header has 2"),
        ("regression", 'path,x\n"a/000.jpg,1\na/001.jpg,2\n', {}, r"labels\.csv:3: unexpected end of data"),
        ("regression", "path,x,x\na/000.jpg,1,2\n", {}, r"labels\.csv:1: column x is repeated"),
        ("regression", "path,x\n", {}, r"labels\.csv lists no images"),
        ("regression", "", {}, r"labels\.csv lists no images"),
        ("regression", "path,heigth\na/000.jpg,1\n", {"label_columns": ["height"]}, r"'height' .*did you mean heigth"),
        ("regression", "pth,x\na/000.jpg,1\n", {"image_column": "path"}, r"no column 'path' .*did you mean pth"),
        ("regression", "path,x\na/000.jpg,1\n", {"split_column": "part"}, r"no column 'part' \(data.split_column\)"),
        ("regression", "path,x\na/000.jpg,1\n", {"label_columns": ["x", "x"]}, r"be named once"),
        ("regression", "path,x\na/000.jpg,1\n", {"label_columns": ["path"]}, r"another column than 'path'"),
        ("regression", "path,x\na/000.jpg,1\n", {"label_file": "n.txt"}, r"label_file n\.txt has no use here"),
        ("regression", "path,split,x\na/000.jpg,trian,1\n", {}, r":2: column 'split': 'trian' is not .*mean train"),
        ("regression", "path,split,x\na/000.jpg,val,1\n", {}, r"no train images in its column 'split'"),
        ("regression", "path,x\na/000.jpg,5\na/001.jpg,5\na/002.jpg,5\n", {}, r"1 of 1 targets are the same .*x \(5\)"),
        ("multilabel", "path,healthy\na/000.jpg,0\na/001.jpg,1\n", {}, r"'healthy' has only 0 and 1"),
        ("multilabel", "path,x,y\na/000.jpg,0,1\na/001.jpg,0,1\n", {}, r"1 of 2 labels are on no training image: x"),
        ("multilabel", "path,x\na/000.jpg,\na/001.jpg,\n", {}, r"no column of labels or targets is left"),
        ("multilabel", CHEST, {"classes": ["Efusion"]}, r"no column 'Efusion'.*did you mean Effusion"),
        ("multilabel", CHEST, {"classes": ["Nodule", "Nodule"]}, r"names a column twice"),
        ("classification", "path,kind\na/000.jpg,a\na/001.jpg,b\n", {"label_file": "gone"}, r"cannot read .*gone"),
    ],
)  # fmt: skip
def test_errors_are_explained(root: Path, task: str, text: str, values: dict[str, object], message: str) -> None:
    write(root, text)
    with pytest.raises(DataError, match=message) as caught:
        build(root, task, **values)
    assert "\n" not in str(caught.value)


def test_other_files_are_held_to_the_same_columns(root: Path) -> None:
    write(root, "path,kind\na/000.jpg,cat\na/001.jpg,dog\n", "train.csv")
    write(root, "path,knd\na/002.jpg,cat\n", "val.csv")
    with pytest.raises(DataError, match=r"val\.csv has no column 'kind' .*did you mean knd"):
        build(root, "classification")
    write(root, "path,kind\na/002.jpg,dgo\n", "val.csv")
    with pytest.raises(DataError, match=r"val\.csv:2: column 'kind': 'dgo' is none of the 2 of training.*mean dog"):
        build(root, "classification")
    write(root, "path,kind\na/002.jpg,dog\na/003.jpg,dgo\n", "val.csv")
    chosen = build(root, "classification", classes=["dog", "cat"])
    assert chosen.val.labels.tolist() == [0]
    with pytest.raises(DataError, match=r"cannot read .*eval\.csv"):
        build(root, "classification", val_list="eval.csv")


def test_two_sources_of_a_part_are_refused(root: Path) -> None:
    write(root, "path,split,x\na/000.jpg,train,1\na/001.jpg,val,2\n", "train.csv")
    write(root, "path,x\na/002.jpg,1\n", "val.csv")
    with pytest.raises(DataError, match=r"val\.csv exists, but .*train\.csv also has val images"):
        build(root, "regression")


def test_a_missing_table_names_those_that_are_there(root: Path) -> None:
    write(root, "path,x\na/000.jpg,1\n", "chest.csv")
    with pytest.raises(DataError, match=r"has no train\.csv or labels\.csv.*there is chest\.csv"):
        build(root, "regression")
    with pytest.raises(DataError, match="not UTF-8"):
        write(root, "图片,中文\na/000.jpg,1\n" * 3, encoding="gb18030")
        build(root, "regression")


def test_column_names_that_yaml_reads_as_numbers(root: Path) -> None:
    write(root, "path,1,2\n" + "".join(f"a/{i:03d}.jpg,{i % 2},{i % 3 % 2}\n" for i in range(12)))
    assert build(root, "multilabel", label_columns=[2, 1]).classes == ("2", "1")


WEIGHED = "path,kind,w,split\n" + "".join(
    f"a/{i:03d}.jpg,{'xy'[i % 2]},{i / 4},{'val' if i > 9 else 'train'}\n" for i in range(12)
)


def test_weights_go_with_their_images_through_splits_and_limits(root: Path) -> None:
    write(root, WEIGHED)
    data = build(root, "classification", weight_column="w", samples_per_class=3)
    assert data.classes == ("x", "y")
    assert data.train.weights is not None
    assert data.train.weights.dtype == np.float32
    assert [Path(data.train.path(i)).stem for i in range(6)] == [f"{round(4 * w):03d}" for w in data.train.weights]
    assert data.val.weights is None
    write(root, WEIGHED.replace(",split", ",part"))
    drawn = build(root, "classification", weight_column="w", label_columns=["kind"], classes=["y", "x"])
    for images in (drawn.train, drawn.val):
        assert images.weights is not None
        assert [Path(images.path(i)).stem for i in range(len(images))] == [
            f"{round(4 * w):03d}" for w in images.weights
        ]
    assert build(root, "classification", label_columns=["kind"]).train.weights is None


@pytest.mark.parametrize(
    ("task", "cells", "limit"),
    [
        ("classification", lambda i: "xy"[i % 2], {}),
        ("classification", lambda i: "xy"[i % 2], {"samples_per_class": 2}),
        ("multilabel", lambda i: f"{i % 2},{i // 2 % 2}", {"samples_per_class": 2}),
        ("regression", lambda i: f"{i}", {}),
    ],
)
def test_images_of_weight_zero_are_as_if_their_rows_were_not_there(
    root: Path, task: str, cells: Callable[[int], str], limit: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """They are in no split, limit, count or statistic, even if they are unreadable."""
    header = f"path,w,{'k,l' if task == 'multilabel' else 'k'}\n"
    kept = [f"a/{i:03d}.jpg,{1 + i % 3},{cells(i)}\n" for i in range(10)]
    (root / "a" / "broken.jpg").write_bytes(b"no image")
    zero = {"regression": "-99999", "multilabel": "1,0", "classification": "x"}[task]
    light = [f"a/{name},0,{zero}\n" for name in ("010.jpg", "broken.jpg", "missing.jpg")]
    options = {"weight_column": "w", "val_fraction": 0.3, **limit}
    write(root, header + "".join(kept))
    expected = build(root, task, **options)
    capsys.readouterr()
    write(root, header + light[0] + "".join(kept[:4]) + light[1] + "".join(kept[4:]) + light[2])
    data = build(root, task, **options)
    assert "3 of 13 training images have weight 0 and are left out" in capsys.readouterr().err
    assert data.fingerprint() == expected.fingerprint()
    assert data.counts() == expected.counts()
    if task == "regression":
        assert data.describe_targets() == expected.describe_targets()
        assert data.target_statistics()[0].min() >= 0


def test_validation_images_of_weight_zero_count_and_a_warning_says_so(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, WEIGHED.replace("2.5,val", "0,val"))
    assert len(build(root, "classification", weight_column="w").val) == 2
    assert "1 val or test image(s) of weight 0 count like all others there" in capsys.readouterr().err


def test_other_tables_need_no_weights(root: Path) -> None:
    write(root, "path,kind,w\na/000.jpg,x,1\na/001.jpg,y,0.5\n", "train.csv")
    write(root, "path,kind\na/002.jpg,x\na/003.jpg,y\n", "val.csv")
    data = build(root, "classification", weight_column="w")
    assert data.train.weights is not None
    assert data.train.weights.tolist() == [1, 0.5]
    write(root, "path,kind,w\na/002.jpg,x,\na/003.jpg,y,none\n", "val.csv")
    assert build(root, "classification", weight_column="w").val.weights is None


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("-1", r"labels.csv:3: column 'w': '-1' is negative"),
        ("nan", r"labels.csv:3: column 'w': 'nan' is not a finite number"),
        ("inf", r"labels.csv:3: column 'w': 'inf' is not a finite number"),
        ("", r"labels.csv:3: column 'w': '' is not a number"),
        ("much", r"labels.csv:3: column 'w': 'much' is not a number"),
    ],
)
def test_bad_weights_name_their_row(root: Path, cell: str, words: str) -> None:
    write(root, f"path,kind,w\na/000.jpg,x,1\na/001.jpg,y,{cell}\na/002.jpg,y,1\na/003.jpg,x,1\n")
    with pytest.raises(DataError, match=words):
        build(root, "classification", weight_column="w")


def test_weights_that_are_all_zero_or_contradict_are_refused(root: Path) -> None:
    table = "path,kind,w\n" + "".join(f"a/{i:03d}.jpg,{'xy'[i % 2]},0\n" for i in range(8))
    write(root, table.replace("x,0", "x,1"))
    with pytest.raises(DataError, match="'w': all training images of 'y' have weight 0") as refused:
        build(root, "classification", weight_column="w")
    assert "data.classes" in str(refused.value.hint)
    write(root, table)
    with pytest.raises(DataError, match=r"weight_column 'w': all \d training images have weight 0"):
        build(root, "classification", weight_column="w")
    write(root, table + "a/000.jpg,x,2\n")
    with pytest.raises(DataError, match=r"labels.csv:10: a/000.jpg is in line 2 already, with another weight"):
        build(root, "classification", weight_column="w")
    with pytest.raises(DataError, match=r"no column 'v' \(data.weight_column\)"):
        build(root, "classification", weight_column="v")
    with pytest.raises(DataError, match="holds no weights"):
        build(root, "classification", weight_column="path")
    with pytest.raises(DataError, match="each must be another column than 'path' and 'w'"):
        build(root, "classification", weight_column="w", label_columns=["w"])


KINDS = ["ant", "bee", "cat"] * 4


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("", "a/{i:03d}.jpg,{kind}"),
        ("", "{i},a/{i:03d}.jpg,{kind}"),
        ("", "{kind},a/{i:03d}"),
        ("label,image_name", "{kind},a/{i:03d}.jpg"),
        ("kind,photo", "{kind},a/{i:03d}"),
        ("file,photo", "{kind},a/{i:03d}.jpg"),
        ("Unnamed: 0,image_id,label", "{i},a/{i:03d}.jpg,{kind}"),
        ("index,photo,label", "{i},a/{i:03d},{kind}"),
        ("id,image,label", "{i},a/{i:03d}.jpg,{kind}"),
        ("path,label", "a\\{i:03d}.jpg,{kind}"),
    ],
)
def test_images_and_labels_are_recognised_in_any_column(root: Path, header: str, line: str) -> None:
    lines = [line.format(i=i, kind=kind) for i, kind in enumerate(KINDS)]
    write(root, "\n".join([header, *lines] if header else lines))
    data = build(root, "classification")
    assert data.classes == ("ant", "bee", "cat")
    assert rows(data) == {f"{i:03d}": i % 3 for i in range(12)}  # the first line among them


def test_what_is_recognised_in_a_table_is_reported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, "\n".join(f"{i},{kind},a/{i:03d}" for i, kind in enumerate(KINDS)))
    build(root, "classification")
    err = capsys.readouterr().err
    assert "has no header (line 1 names an image): its columns are column 1, column 2, column 3" in err
    assert "the images are those of column 'column 3' (data.image_column)" in err
    assert "column 'column 1' numbers the rows, and is left out" in err
    numbers = DataConfig(format="csv", root=root, label_columns=["column 1"])
    assert read_csv(numbers, "classification").classes == tuple(str(i) for i in range(12))  # as requested
    write(root, "one,two,kind\n" + "".join(f"a/{i:03d},a/{11 - i:03d},{kind}\n" for i, kind in enumerate(KINDS)))
    with pytest.raises(DataError, match=r"columns 'one', 'two' all name images — say which one: data.image_column"):
        build(root, "classification")
    assert len(build(root, "classification", image_column="two", label_columns=["kind"]).train) > 0
    write(root, "path,kind\n" + "".join(f"data/a/{i:03d}.jpg,{kind}\n" for i, kind in enumerate(KINDS)))
    with pytest.raises(DataError, match=r"none of its 12 images exists; looked for .*without the prefix 'data/'"):
        build(root, "classification")


@pytest.mark.parametrize(
    ("name", "cells", "part", "said"),
    [
        ("is_valid", ["True", "False"], "val", True),
        ("is_valid", ["1", "0"], "val", True),
        ("is_train", ["FALSE", "TRUE"], "val", True),
        ("is_test", ["true", "false"], "test", True),
        ("subset", ["valid", "train"], "val", True),
        ("valid", ["True", "False"], "val", False),
    ],
)
def test_flags_and_words_name_the_split(
    root: Path, name: str, cells: list[str], part: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"a/{i:03d}.jpg,{kind},{cells[0] if i < 3 else cells[1]}" for i, kind in enumerate(KINDS)]
    write(root, "\n".join([f"path,label,{name}", *lines]))
    if said:
        source = read_csv(DataConfig(format="csv", root=root), "classification")
        assert f"column {name!r} is taken as the split of each image (data.split_column)" in capsys.readouterr().err
        assert len(source.splits[part]) == 3
    source = read_csv(DataConfig(format="csv", root=root, split_column=name), "classification")
    assert {key: len(images) for key, images in source.splits.items()} == {"train": 9, part: 3}


def test_a_flag_in_a_column_of_another_name_is_refused(root: Path) -> None:
    write(root, "path,split,x\na/000.jpg,True,1\na/001.jpg,False,2\n")
    with pytest.raises(DataError, match=r"'True' is not train, val or test — .*call the column is_valid"):
        build(root, "regression")


@pytest.mark.parametrize("mark", [",", ";", " ", "/"])
def test_another_separator_of_labels_must_be_configured(root: Path, mark: str) -> None:
    cells = [f'"{kind}{mark}animal"' for kind in KINDS[:11]] + ["animal"]
    write(root, "path\ttags\n" + "".join(f"a/{i:03d}.jpg\t{cell}\n" for i, cell in enumerate(cells)))
    with pytest.raises(DataError, match=f"never '\\|' — if {mark!r} separates labels, set data.label_separator"):
        build(root, "multilabel")
    source = read_csv(DataConfig(format="csv", root=root, label_separator=mark), "multilabel")
    assert source.classes == ("animal", "ant", "bee", "cat")
    whole = read_csv(DataConfig(format="csv", root=root, label_separator="|"), "multilabel")
    assert len(whole.classes) == 4
    write(root, CHEST.replace("|", " or ").replace("Effusion", "sea gull"))
    assert "sea gull" in read_csv(DataConfig(format="csv", root=root, label_separator=" or "), "multilabel").classes


def test_tables_share_a_header_and_report_ambiguities(root: Path) -> None:
    lines = [f"a/{i:03d},{kind}\n" for i, kind in enumerate(KINDS)]
    write(root, "photo,label\n" + "".join(lines[:9]), "train.csv")
    write(root, "".join(lines[9:]), "val.csv")
    data = build(root, "classification")
    assert [len(part) for part in data.splits.values()] == [9, 3]
    (root / "val.csv").unlink()
    write(root, "label,photo\n" + "".join(f"{kind},b/{i:03d}\n" for i, kind in enumerate(KINDS)), "train.csv")
    with pytest.raises(DataError, match=r"no column names images below .*'label' \('ant'\), 'photo' .*image_column"):
        build(root, "classification")
    write(root, "path,label\n" + "".join(f"A/{i:03d}.JPG,{kind}\n" for i, kind in enumerate(KINDS)), "train.csv")
    with pytest.raises(DataError, match=r"names are case-sensitive: .*a/000.jpg exists"):
        build(root, "classification")
    write(root, "path;tags\n" + "".join(f"a/{i:03d};['{kind}', 'x']\n" for i, kind in enumerate(KINDS)), "train.csv")
    with pytest.raises(DataError, match="which are lists"):
        build(root, "multilabel")


def test_numbers_of_a_label_file_in_a_table(root: Path) -> None:
    write(root, "path,kind\n" + "".join(f"a/{i:03d},{i % 3 + 1}\n" for i in range(12)))
    write(root, "ant\nbee\ncat\n", "names.txt")
    with pytest.raises(DataError, match=r"'kind' counts from 1 to 3, and has no 0 — .*names in names.txt from 1"):
        build(root, "classification", label_file="names.txt")
    for names in ("1 ant\n2 bee\n3 cat\n", "1\n2\n3\n"):
        write(root, names, "names.txt")
        assert rows(build(root, "classification", label_file="names.txt"))["001"] == 1
