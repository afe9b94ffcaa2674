"""The homogenized tensor of a picture, from the command line:

    python -m nhpinn_tools image.png --values 0=1 255=10

image: what Pillow reads, grey or with a palette, or a numpy file .npy of two or three axes; labels are its numbers.
Pixels are squares, voxels cubes; axis 0 is the rows of a picture, from top to bottom.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from nhpinn_tools.homogenization import homogenize


def read(path):
    """The labels of a picture: whole numbers on two axes, or three of a volume."""
    if path.suffix == ".npy":
        return np.load(path)
    from PIL import Image  # comes with matplotlib

    labels = np.asarray(Image.open(path))
    if labels.ndim == 3 and np.ptp(labels[..., :3], axis=-1).max() == 0:
        labels = labels[..., 0]  # grey, as red, green and blue
    if labels.ndim != 2:
        raise ValueError(f"image: found colours in {path}, expected a label in every pixel, such as a grey level")
    return labels


def pair(text):
    label, value = text.split("=")
    return int(label), float(value)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m nhpinn_tools", description=__doc__.split("\n")[0])
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
                f"{label}: {100 * n / image.size:.3g} %" for label, n in zip(labels[:9], counts, strict=False)
            )
            many = "; grey levels of a photograph become labels by a threshold, picture > 128" * (len(labels) > 9)
            raise ValueError(
                f"values: found none for {len(labels)} labels ({shares}{'  ...' * bool(many)}), "
                f"expected --values LABEL=CONDUCTIVITY{many}"
            )
        period = np.array(image.shape) / max(image.shape)  # square pixels
        found = homogenize(image, image.ndim, period=period, values=dict(chosen.values), tolerance=chosen.tolerance)
    except (OSError, TypeError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    print(found, f"lower\n{found.lower}", f"upper\n{found.upper}", sep="\n")
    if chosen.plot:
        draw(image, found, chosen.plot)


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
    figure.savefig(path)


if __name__ == "__main__":
    main()
