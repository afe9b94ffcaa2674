"""Images, labels and their values: what stands for a coefficient that is constant in every pixel."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nhpinn_functions import called, check_elliptic, shown
from nhpinn_tools.calls import warn


def image_of(coefficient, dim, values=None):
    """An image, an array or lists, of conductivities, tensors or labels: (m_1, ..., m_dim), or with (dim, dim) behind.

    An array with dim axes is an image, one of 2 x 2 as well: a constant tensor is its own homogenized tensor.
    Raises ValueError or TypeError for what is no image of a positive definite coefficient or 0, with a bad pixel.
    """
    if np.ma.is_masked(coefficient):
        raise ValueError("coefficient: found masked pixels, expected a value for each, as coefficient.filled(k) has")
    try:
        image = np.asarray(coefficient)
    except ValueError:  # lists of different lengths
        image = np.empty(0, dtype=object)
    if dim == 2 and image.ndim == 3 and image.shape[2] in (3, 4):
        raise TypeError(
            f"coefficient: found a picture in colour, {image.shape[2]} numbers in each of {image.shape[0]} x "
            f"{image.shape[1]} pixels, expected one in each, as picture[..., 0] or picture.mean(axis=2) has"
        )
    if values is not None:
        image = _labelled(image, dim, values)
    elif image.dtype.kind == "b":
        raise ValueError("values: found None for a picture of True and False, expected values={False: k_0, True: k_1}")
    elif image.dtype == np.uint8:
        raise ValueError(
            f"values: found None for grey levels or labels, {shown(np.unique(image)[:3].tolist())} and so on, expected "
            "values={label: conductivity, ...}; or picture.astype(float), if they are conductivities"
        )
    tensors = image.ndim == dim + 2 and image.shape[dim:] == (dim, dim)
    if image.dtype.kind not in "iuf" or not (image.ndim == dim or tensors) or image.size == 0:
        raise TypeError(
            f"coefficient: found {type(coefficient).__name__} of shape {image.shape} and type {image.dtype}, expected "
            f"a function of y (n, {dim}), or in solve of x and y, a TwoPhase, or an image: real numbers on {dim} axes, "
            f"with or without ({dim}, {dim}) behind them"
        )
    check_pixels(image, dim)
    if values is None and not tensors:
        warn_of_meaning(image)
    return image.astype(float)


def like_colours(image):
    """Whether a volume has the shape of a picture of red, green and blue, with opacity or without."""
    return image.ndim == 3 and image.shape[2] in (3, 4) and image.shape[2] < min(image.shape[:2])


def warn_of_meaning(image):
    """Warns of an image of numbers that may have been meant for a tensor, or for labels."""
    if image.shape == (2, 2) and np.array_equal(image, image.T) and np.linalg.eigvalsh(image).min() > 0:
        warn(
            "coefficient: found a symmetric positive definite matrix, taken for an image of 2 x 2 pixels; a "
            "constant tensor A is its own homogenized tensor, and in solve lambda y: A + 0 * y[:, :1, None]"
        )
    if like_colours(image):
        warn(
            f"coefficient: found {image.shape[2]} voxels along axis 2, taken for a thin volume; of a picture in colour "
            "picture.mean(axis=2) has one number a pixel"
        )
    labels = np.unique(image) if image.dtype.kind in "iu" else ()
    if len(labels) > 1 and labels[0] in (0, 1) and labels[-1] - labels[0] == len(labels) - 1:
        warn(
            f"coefficient: found the whole numbers {labels[0]} to {labels[-1]}, taken for conductivities; labels take "
            "values={label: conductivity, ...}, and image.astype(float) says that they are none"
        )


LISTED = 9  # labels: of more, the image may be a photograph


def threshold_hint(labels):
    return "; grey levels of a photograph become labels by a threshold, picture > 128" * (len(labels) > LISTED)


def _labelled(image, dim, values):
    if not isinstance(values, Mapping):
        raise TypeError(f"values: found {shown(values)}, expected a dictionary from labels to numbers or tensors")
    if image.ndim != dim or image.dtype.kind not in "biu":
        raise TypeError(
            f"coefficient: found {image.dtype} of shape {image.shape}, expected whole numbers or True and False on "
            f"{dim} axes, since values are given"
        )
    labels, where = np.unique(image, return_inverse=True)
    if missing := [label.item() for label in labels if label.item() not in values]:
        raise ValueError(
            f"values: found none for the label {shown(missing[0])}, expected one for each of the {len(labels)} in the "
            f"image, {', '.join(map(str, labels[:LISTED]))}{', ...' * (len(labels) > LISTED)}{threshold_hint(labels)}"
        )
    if unused := values.keys() - set(labels.tolist()):
        warn(f"values: found one for {shown(unused.pop())}, expected labels of the image, which has no such pixel")
    try:
        table = [np.asarray(values[label.item()], dtype=float) for label in labels]
    except (TypeError, ValueError):
        table = [np.zeros(0)]
    texts = any(isinstance(values[label.item()], str) for label in labels)
    if texts or any(entry.shape not in ((), (dim, dim)) for entry in table):
        raise ValueError(f"values: found {shown(values)}, expected numbers or tensors ({dim}, {dim})")
    if any(entry.ndim for entry in table):
        table = [entry if entry.ndim else entry * np.eye(dim) for entry in table]
    return np.array(table)[where.reshape(image.shape)]


def pores(image, dim):
    """Where the conductivity of an image, of numbers or tensors, is exactly 0: its pixels, True or False."""
    return image == 0 if image.ndim == dim else np.all(image == 0, axis=(-2, -1))


def check_pixels(image, dim):
    """Every pixel is 0, or symmetric, finite and positive definite; sentences have the index of one that is not."""
    solid = np.flatnonzero(~pores(image, dim))
    tensors = image.reshape(-1, *(image.shape[dim:] or (1, 1)))[solid]

    def pixel(k):
        return f"pixel {tuple(map(int, np.unravel_index(solid[k], image.shape[:dim])))}"

    if np.any(infinite := np.isinf(tensors).any(axis=(1, 2))):
        raise ValueError(
            f"coefficient: found inf in {pixel(np.argmax(infinite))}, expected finite conductivities; for a "
            "perfect conductor take 1e4 times that of the other phase, an error of about 1e-4"
        )
    if len(solid):
        check_elliptic(tensors.astype(float, copy=False), pixel)


# --- images as coefficients of x and y --------------------------------------------------------------------


class Pixels(NamedTuple):
    """A periodic image as a coefficient a(x, y): points (n, d) each -> (n,), or (n, d, d)."""

    labels: np.ndarray  # (m_1, ..., m_d): of the pixels, rows of the table
    table: np.ndarray  # (L,), or (L, d, d)
    functions: tuple  # (label, function of x) for those whose values vary with x
    period: tuple

    def __call__(self, x, y):
        counts = self.labels.shape
        pixel = [np.floor(z * (n / p)).astype(int) % n for z, n, p in zip(y.T, counts, self.period, strict=True)]
        return self.valued(self.labels[tuple(pixel)], x)

    def at(self, x):
        """The image at one x (d,): (m_1, ..., m_d), or with (d, d) behind."""
        labels = self.labels.ravel()
        a = self.valued(labels, np.tile(x, (len(labels), 1)))
        return a.reshape(*self.labels.shape, *a.shape[1:])

    def valued(self, labels, x):
        """The coefficient where the labels are these (n,), at points x (n, d)."""
        a = self.table[labels]
        for label, function in self.functions:
            mine = labels == label
            a[mine] = like(self.table, function(x[mine]))
        return a

    def places(self):
        """The centre of a pixel of every label whose values vary, or else of any: (P, d)."""
        first = [np.flatnonzero(self.labels.ravel() == label)[0] for label, _ in self.functions] or [0]
        pixels = np.transpose(np.unravel_index(first, self.labels.shape))
        return (pixels + 0.5) / self.labels.shape * self.period


def like(table, values):
    """Numbers (n,) as tensors where those of a table are."""
    return values[:, None, None] * np.eye(table.shape[-1]) if table.ndim > np.ndim(values) == 1 else values


def pixels_of(coefficient, dim, values, period, x):
    """The Pixels of what `image_of` takes, without pixels of 0, where values may be functions of x as well.

    x: one point (dim,) at which functions are looked at.
    """
    functions = {k: f for k, f in values.items() if callable(f)} if isinstance(values, Mapping) else {}
    samples = {k: checked_value(k, f, x) for k, f in functions.items()}
    image = image_of(coefficient, dim, {**values, **samples} if functions else values)
    if np.any(empty := pores(image, dim)):
        pixel = tuple(map(int, np.argwhere(empty)[0]))
        labels = "; labels take values=" * (values is None)
        raise ValueError(
            f"coefficient: found 0 in pixel {pixel}, expected positive conductivities; homogenize takes pores, solve "
            f"does not{labels}"
        )
    entries = image.reshape(-1, *image.shape[dim:])
    if not functions:
        return Pixels(np.arange(len(entries)).reshape(image.shape[:dim]), entries, (), period)
    labels, first, where = np.unique(np.asarray(coefficient), return_index=True, return_inverse=True)
    varying = tuple((k, functions[label.item()]) for k, label in enumerate(labels) if label.item() in functions)
    return Pixels(where.reshape(image.shape[:dim]), entries[first], varying, period)


def checked_value(label, function, x):
    """A value that is a function of points, at one of them (d,): a number or (d, d)."""
    name = f"values[{shown(label)}]"
    found = called(name, function, x[None])
    if found.shape not in ((1,), (1, len(x), len(x))):
        raise ValueError(
            f"{name}: returned shape {found.shape} at points of shape (1, {len(x)}), expected (1,) or "
            f"(1, {len(x)}, {len(x)})"
        )
    return found[0]
