"""Pictures in, ranked classes out."""

from __future__ import annotations

import csv
import io
import threading
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from paddle import nn
from PIL import Image

from toolkit.core.errors import DataError, DeployError, DeviceError
from toolkit.data import Preprocessing, read_image
from toolkit.data.views import views_of
from toolkit.deploy import Predictor
from toolkit.deploy.prediction import predictions_csv, predictions_table


@pytest.fixture(scope="module")
def predictor(shared_export: Path) -> Predictor:
    return Predictor(shared_export)


def expected(network: nn.Layer, path: Path) -> np.ndarray:
    network.eval()
    image = Preprocessing(32, 1.0).apply(read_image(path))
    return nn.functional.softmax(network(paddle.to_tensor(image[None])), axis=-1).numpy()[0]


def test_files_are_recognised_in_order_best_class_first(predictor, new_network, pictures) -> None:
    found = predictor.predict(pictures, topk=3, batch_size=2)
    assert [prediction.path for prediction in found] == [str(path) for path in pictures]
    for prediction, path in zip(found, pictures, strict=True):
        truth = expected(new_network(), path)
        order = np.argsort(-truth)[:3]
        assert prediction.label == [predictor.classes[i] for i in order]
        np.testing.assert_allclose(prediction.confidence, truth[order], rtol=1e-4)
        assert prediction.confidence == sorted(prediction.confidence, reverse=True)


def test_the_batch_size_changes_nothing(predictor, pictures) -> None:
    one, all_ = (predictor.predict(pictures, topk=4, batch_size=size) for size in (1, 8))
    for a, b in zip(one, all_, strict=True):
        assert a.label == b.label
        np.testing.assert_allclose(a.confidence, b.confidence, atol=1e-6)


def test_more_classes_than_there_are(predictor, pictures) -> None:
    (prediction,) = predictor.predict(pictures[0], topk=100)
    assert sorted(prediction.label) == sorted(predictor.classes)
    assert sum(prediction.confidence) == pytest.approx(1, abs=1e-4)


def test_the_plain_form(predictor, pictures) -> None:
    (prediction,) = predictor.predict([pictures[2]], topk=1)
    assert prediction.to_dict() == {
        "path": str(pictures[2]),
        "label": prediction.label,
        "confidence": prediction.confidence,
    }
    assert type(prediction.confidence[0]) is float


def test_pictures_in_memory(predictor, pictures) -> None:
    arrays = [read_image(path) for path in pictures]
    from_files = predictor.predict(pictures)
    from_memory = predictor.predict(arrays)
    assert [p.confidence for p in from_memory] == [p.confidence for p in from_files]
    assert [p.path for p in from_memory][:2] == ["image 0", "image 1"]
    assert predictor.predict(arrays[0], names=["digits/0007"])[0].path == "digits/0007"
    stack = np.stack([cv2.resize(array, (40, 40)) for array in arrays])
    assert len(predictor.predict(stack)) == len(arrays)


def test_nothing_to_do(predictor) -> None:
    assert predictor.predict([]) == []


def test_an_unreadable_file_is_named(predictor, pictures, tmp_path: Path) -> None:
    broken = tmp_path / "坏.jpg"
    broken.write_text("no picture")
    with pytest.raises(DataError, match=r"坏\.jpg"):
        predictor.predict([*pictures, broken, *pictures])
    with pytest.raises(DataError, match="nowhere"):
        predictor.predict([tmp_path / "nowhere.png"])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read")]
    assert len(predictor.predict(pictures)) == 5, "the predictor still works"

    asked = [broken, *pictures, broken, tmp_path / "nowhere.png"]
    for size in (1, 3, 8):
        found = predictor.predict(asked, on_bad_image="keep", batch_size=size)
        assert [prediction.path for prediction in found] == [str(path) for path in asked]
        assert found[1:6] == predictor.predict(pictures)
        assert found[0].to_dict() == {"path": str(broken), "error": f"cannot read image {broken}: not an image"}
        assert "No such file" in found[-1].error
    assert predictor.predict(broken, on_bad_image="keep")[0].label == []
    rows = list(csv.DictReader(io.StringIO(predictions_csv(predictor.predict(asked, topk=1, on_bad_image="keep")))))
    assert [row["path"] for row in rows] == [str(path) for path in asked]
    assert rows[0] == {"path": str(broken), "rank": "", "label": "", "confidence": ""}
    assert predictions_table(found).row_count == predictions_table(found[1:6]).row_count > 0
    with pytest.raises(DataError, match="image 0"):
        predictor.predict([np.zeros((8, 8, 4), np.uint8)], on_bad_image="keep")


@pytest.mark.parametrize(
    "array", [np.full((8, 8, 3), 7, np.float32), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 8, 3), np.uint8)]
)
def test_an_array_that_is_no_picture(predictor, array) -> None:
    with pytest.raises(DataError, match="image 0: expected RGB uint8"):
        predictor.predict([array])


def test_numbers_that_make_no_sense(predictor, pictures, shared_export) -> None:
    for options in ({"topk": 0}, {"batch_size": 0}):
        with pytest.raises(DeployError, match="at least 1"):
            predictor.predict(pictures, **options)
    with pytest.raises(DeployError, match="threads must be at least 1"):
        Predictor(shared_export, threads=0)


def test_images_of_another_size(predictor) -> None:
    for shape in ((1, 3, 48, 48), (3, 32, 32), (0, 3, 32, 32), (1, 4, 32, 32)):
        with pytest.raises(DeployError, match=r"expected images \[N, 3, 32, 32\]"):
            predictor.outputs(np.zeros(shape, np.float32))


def test_nan_is_not_a_prediction(tmp_path, new_network, export, pictures) -> None:
    network = new_network()
    network.fc.bias.set_value(np.full(4, np.nan, "float32"))
    with pytest.raises(DeployError, match=r"gives NaN for .*c\.png"):
        Predictor(export(tmp_path / "model", network)).predict(pictures)


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="needs Paddle's CPU build")
def test_a_gpu_that_is_not_there(shared_export) -> None:
    with pytest.raises(DeviceError):
        Predictor(shared_export, device="gpu")


def test_several_threads_may_share_a_predictor(predictor, pictures) -> None:
    truth = predictor.predict(pictures, topk=4)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(predictor.predict(pictures, topk=4))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [truth] * 4


def test_test_time_augmentation_averages_views(tmp_path, export, pictures) -> None:
    model = Predictor(export(tmp_path / "model", flip="horizontal", tta=6))
    assert (model.flip, model.tta) == ("horizontal", 6)
    views = views_of(model.preprocessing, "horizontal", 6)
    (found,) = model.predict(pictures[0], topk=4)
    rows = model.outputs(np.stack([view.apply(read_image(pictures[0])) for view in views]))
    truth = np.sort(rows.mean(axis=0))[::-1]
    np.testing.assert_allclose(found.confidence, truth, rtol=1e-4)
    (plain,) = model.predict(pictures[0], topk=4, tta=1)
    assert plain.confidence != found.confidence
    first = model.predict(pictures, topk=4, batch_size=2)[0]
    assert first.confidence == pytest.approx(found.confidence, rel=1e-4)


def test_by_default_there_is_one_unmirrored_view(predictor, pictures) -> None:
    assert (predictor.flip, predictor.tta) == ("none", 1)
    with pytest.raises(DeployError, match="tta is 0; expected 1 to 64"):
        predictor.predict(pictures, tta=0)
    with pytest.raises(DeployError, match="tta is 65"):
        predictor.predict(pictures, tta=65)


def test_everything_that_is_a_picture(predictor, pictures, tmp_path: Path) -> None:
    path = pictures[0]
    image = Image.open(path)
    array = read_image(path)
    wanted = predictor.predict(path)[0].confidence
    same = [image, image.convert("RGBA"), array, array / 255, (array / 255).astype(np.float32), paddle.to_tensor(array)]
    found = predictor.predict([path, *same, str(path)])
    assert [each.confidence for each in found] == [wanted] * 8
    assert [each.path for each in found][::7] == [str(path), str(path)]
    assert predictor.predict(image)[0].path == "image 0"
    for mode in ("1", "L", "LA", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F"):
        assert sum(predictor.predict(image.convert(mode))[0].confidence) == pytest.approx(1, abs=1e-4), mode
    folder = tmp_path / "folder"
    for number in (2, 0):
        write(folder / f"{number}.png", array)
    assert [Path(each.path).name for each in predictor.predict([folder, path])] == ["0.png", "2.png", path.name]


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_a_pil_image_is_turned_upright_as_its_file_is(predictor, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(pixels).save(path, exif=exif)
    turned = predictor.predict(np.rot90(pixels, -1))[0].confidence
    assert predictor.predict(Image.open(path))[0].confidence == turned


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((3, 40, 40), np.uint8), r"channels come first — give array\.transpose\(1, 2, 0\)"),
        (np.full((40, 40, 3), 200.0), "values from 200 to 200 — give the image before normalisation"),
        (np.full((40, 40, 3), np.nan), "values from nan to nan"),
        (np.zeros((40, 40, 3), np.uint16), "scale it to 0..255 and give uint8"),
        (np.zeros((40, 40, 4), np.uint8), "leave out the alpha channel"),
        (b"bytes", "expected a path, a PIL image or an array, not bytes"),
        ([None], "image 0: expected a path, a PIL image or an array, not NoneType"),
        (7, "not int"),
        (Image.fromarray(np.full((4, 4), -7, np.int32)), "PIL image of mode I cannot be read: values from -7"),
    ],
)
def test_what_is_no_picture(predictor, picture, words: str) -> None:
    with pytest.raises(DataError, match=words):
        predictor.predict(picture)
