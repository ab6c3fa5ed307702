"""The pretrained network as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.core.errors import NetworkError, WeightsError
from toolkit.deploy import NetworkPredictor, expand_images


def test_it_answers_with_imagenets_names(pictures) -> None:
    predictor = NetworkPredictor("squeezenet1_1", weights=False)
    assert len(predictor.classes) == 1000
    assert predictor.preprocessing.image_size == 224
    (prediction,) = predictor.predict(pictures[:1], topk=5)
    assert len(set(prediction.label)) == 5
    assert set(prediction.label) <= set(predictor.classes)
    rows = predictor.outputs(np.zeros((3, 3, 224, 224), np.float32), batch_size=2)
    assert rows.shape == (3, 1000)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)


def test_an_unknown_network_and_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="mobilnet_v2"):
        NetworkPredictor("mobilnet_v2", weights=False)
    with pytest.raises(WeightsError):
        NetworkPredictor("mobilenet_v2", weights=tmp_path / "nowhere.pdparams")


@pytest.mark.slow
def test_real_weights_recognise_real_images(assets: Path) -> None:
    images = expand_images([assets / "datasets" / "imagenet_sample"])
    predictor = NetworkPredictor("mobilenet_v2", assets / "weights" / "mobilenet_v2_1.0.pdparams")
    found = predictor.predict(images)
    top1 = np.mean([p.label[0] == name for p, name in zip(found, predictor.classes, strict=True)])
    top5 = np.mean([name in p.label for p, name in zip(found, predictor.classes, strict=True)])
    assert top1 >= 0.75
    assert top5 >= 0.93
