"""The homogenized tensor of a picture, from the command line:

    python -m nhpinn_tools image.png --values 0=1 255=10

image: what Pillow reads, grey or with a palette, or a numpy file .npy of two or three axes; labels are its numbers.
Pixels are squares, voxels cubes.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from nhpinn_tools.homogenization import homogenize
from nhpinn_tools.images import LISTED, like_colours, threshold_hint

AXES = "axis 0: along a column of the picture, from the top down; axis 1: along a row"


def opened(path):
    if path.suffix == ".npy":
        return np.load(path)
    from PIL import Image  # comes with matplotlib

    return np.asarray(Image.open(path))


def read(path):
    """The labels of a picture: whole numbers on two axes, or three of a volume."""
    try:
        labels = opened(path)
    except (OSError, EOFError, ValueError) as error:
        found = "no picture in" if path.is_file() else "no file"
        raise ValueError(f"image: found {found} {path}, expected one that Pillow reads, or .npy of numpy") from error
    volume = path.suffix == ".npy"
    if not volume and labels.ndim == 3 and np.ptp(labels[..., :3], axis=-1).max() == 0:
        labels = labels[..., 0]  # grey, as red, green and blue
    if labels.ndim != 2 and (not volume or like_colours(labels)):
        raise ValueError(f"image: found colours in {path}, expected a label in every pixel, such as a grey level")
    return labels.astype(np.uint8) if labels.dtype == bool else labels


def pair(text):
    label, value = text.split("=")
    return int(label), float(value)


def dictionary(pairs):
    labels = [label for label, _ in pairs]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise ValueError(f"values: found {labels.count(twice[0])} for the label {twice[0]}, expected one")
    return dict(pairs)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m nhpinn_tools", description=f"{__doc__.splitlines()[0][:-1]}; {AXES}."
    )
    parser.add_argument("image", type=Path, help="a grey picture, or a numpy file; its pixels are squares")
    parser.add_argument("--values", type=pair, nargs="+", metavar="LABEL=CONDUCTIVITY", help="of every label in it")
    parser.add_argument("--tolerance", type=float, help="of the gap between the bounds, relative; 0.01 at best")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture of the labels and of a field")
    chosen = parser.parse_args(arguments)
    try:
        image = read(chosen.image)
        labels, counts = np.unique(image, return_counts=True)
        if not chosen.values:
            shares = "  ".join(
                f"{label}: {100 * n / image.size:.3g} %" for label, n in zip(labels[:LISTED], counts, strict=False)
            )
            raise ValueError(
                f"values: found none for {len(labels)} labels ({shares}{'  ...' * (len(labels) > LISTED)}), "
                f"expected --values LABEL=CONDUCTIVITY{threshold_hint(labels)}"
            )
        period = np.array(image.shape) / max(image.shape)  # square pixels
        found = homogenize(
            image, image.ndim, period=period, values=dictionary(chosen.values), tolerance=chosen.tolerance
        )
        axes = [AXES] if image.ndim == 2 else []
        print(*axes, found, f"lower\n{found.lower}", f"upper\n{found.upper}", sep="\n")
        if chosen.plot:
            draw(image, found, chosen.plot)
    except (TypeError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")


def draw(image, found, path):
    import matplotlib.pyplot as plt

    plane = image if image.ndim == 2 else image[..., image.shape[2] // 2]
    axes = [(np.arange(n) + 0.5) * length / n for n, length in zip(image.shape, found.period, strict=True)]
    middle = [found.period[2:] / 2] if image.ndim == 3 else []
    y = np.stack(np.meshgrid(*axes[:2], *middle, indexing="ij"), -1).reshape(-1, image.ndim)
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    field = (1 + found.gradient(y)[:, 0, 0]).reshape(plane.shape)
    for panel, values, title in zip(
        panels, (plane, field), ("labels", "field along axis 0, its mean is 1"), strict=True
    ):
        figure.colorbar(panel.imshow(values, extent=(0, found.period[1], found.period[0], 0)), ax=panel)
        panel.set(title=title, xlabel="axis 1", ylabel="axis 0")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"plot: found {path}, expected a name such as field.png in a folder that exists") from error


if __name__ == "__main__":
    main()
