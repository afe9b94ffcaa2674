"""The command line for pictures: labels are checked, and what is printed is what homogenize finds."""

import numpy as np
import pytest

import nhpinn
from nhpinn_tools.__main__ import main


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "labels.npy"
    np.save(path, np.kron([[0, 255], [255, 0]], np.ones((2, 2))).astype(np.uint8))
    return path


def test_a_picture_has_a_tensor_with_bounds(image, capsys):
    main([str(image), "--values", "0=1", "255=10", "--tolerance", "0.1"])
    printed, found = (
        capsys.readouterr().out,
        nhpinn.homogenize(np.load(image), 2, values={0: 1, 255: 10}, tolerance=0.1),
    )
    assert str(found) in printed and "axis 0: along a column" in printed and "lower" in printed and "upper" in printed


def test_its_pixels_are_squares(tmp_path, capsys):
    """Not so in `homogenize`, where an image fills the period: a picture of another shape is not stretched."""
    picture, values = np.ones((3, 6), int), {0: 1, 1: 10}
    picture[1:, 2:4] = 0
    np.save(tmp_path / "wide.npy", picture)
    main([str(tmp_path / "wide.npy"), "--values", "0=1", "1=10"])
    stretched, found = (nhpinn.homogenize(picture, 2, values=values, period=period) for period in (1, (0.5, 1)))
    assert str(found) in capsys.readouterr().out and np.abs(found.tensor - stretched.tensor).max() > 0.1


def test_a_photograph_takes_a_threshold(tmp_path):
    grey, path = np.random.default_rng(0).integers(0, 256, (12, 16)), tmp_path / "photograph.npy"
    np.save(path, grey)
    with pytest.raises(SystemExit, match=r"labels .*  \.\.\.\), expected .* by a threshold, picture > 128"):
        main([str(path)])
    with pytest.raises(SystemExit, match=r"label 1, .* 10, \.\.\.; grey levels .* by a threshold, picture > 128"):
        main([str(path), "--values", "0=1", "255=2"])
    np.save(path, grey > 128)
    main([str(path), "--values", "0=1", "1=10", "--tolerance", "0.1"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "values: found none for 2 labels .*0: 50 %  255: 50 %.* expected --values LABEL=CONDUCTIVITY"),
        (
            ["--values", "0=1"],
            "values: found none for the label 255, expected one for each of the 2 in the image, 0, 255",
        ),
        (["--values", "0=1", "0=2", "255=3"], "values: found 2 for the label 0, expected one"),
        (["--values", "0=1", "255=3", "--plot", "no/p.png"], "plot: found no/p.png, expected a name .* in a folder"),
        (["--values", "0=1", "255=3", "--plot", "p.xyz"], "plot: found p.xyz, expected a name such as field.png"),
        (["--values", "0=1", "255=-3"], "coefficient: "),
    ],
)
def test_what_is_missing_is_one_sentence(image, arguments, sentence):
    with pytest.raises(SystemExit, match=sentence):
        main([str(image), *arguments])


def test_a_picture_is_read_and_drawn(tmp_path):
    pillow, _ = pytest.importorskip("PIL.Image"), pytest.importorskip("matplotlib")
    grey = np.kron([[0, 9], [9, 0]], np.ones((2, 2))).astype(np.uint8)
    pillow.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "grey.png")
    main([str(tmp_path / "grey.png"), "--values", "0=1", "9=2", "--plot", str(tmp_path / "field.png")])
    assert (tmp_path / "field.png").stat().st_size > 1000
    pillow.fromarray(np.stack([grey, grey, 0 * grey], axis=-1)).save(tmp_path / "colours.png")
    with pytest.raises(SystemExit, match="image: found colours"):
        main([str(tmp_path / "colours.png")])
    pillow.fromarray(grey > 0).save(tmp_path / "two.png")
    with pytest.raises(SystemExit, match="the label 1, expected one for each of the 2 in the image, 0, 1"):
        main([str(tmp_path / "two.png"), "--values", "0=1", "255=2"])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("text.png", "no picture in"), ("text.npy", "no picture in"), ("none.png", "no file"), (".", "no file")],
)
def test_what_is_no_picture_is_one_sentence(name, sentence, tmp_path):
    pytest.importorskip("PIL.Image")
    for text in ("text.png", "text.npy"):
        (tmp_path / text).write_text("1, 2")
    with pytest.raises(SystemExit, match=f"image: found {sentence} .*, expected one that Pillow reads"):
        main([str(tmp_path / name)])


def test_a_volume_in_the_shape_of_colours_is_refused(tmp_path):
    np.save(tmp_path / "colours.npy", np.ones((8, 8, 3), np.uint8))
    with pytest.raises(SystemExit, match="image: found colours"):
        main([str(tmp_path / "colours.npy"), "--values", "1=2"])
