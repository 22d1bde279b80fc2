"""Composes the parts of the data set in several processes; the images do not depend on how many there are."""

from __future__ import annotations

import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from dwca_export.errors import UsageError
from models.command import leave_ending_to_the_parent
from models.data import render, scenes
from models.data.thin_objects import CLASSES, OBJECT_SIDE, PARTS, SCENE_SIDE, Objects, Scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from models.data.icons import Icon
    from models.data.render import Drawing
    from models.data.scenes import Found
    from models.data.thin_objects import Bytes

_CHUNK = 50
# The first number of each stream of random numbers: no two things that are drawn by lot share one.
_OBJECT_IMAGES, _SCENE_IMAGES, _OBJECT_ICONS, _SCENE_ICONS, _SCENE_SIZES = range(5)

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sizes:
    """Numbers of images, in the order of train, validation, test."""

    objects: tuple[int, int, int] = (5000, 1100, 4400)
    scenes: tuple[int, int, int] = (3000, 300, 1000)


@dataclass(frozen=True)
class Material:
    """What images are composed of.

    Attributes:
        drawings: All of them.
        labels: Class of each.
        parts: Part of each.
        photographs: Part -> backgrounds.
        seed: What all choices depend on.
    """

    drawings: Sequence[Drawing]
    labels: Sequence[int]
    parts: Sequence[str]
    photographs: Mapping[str, Sequence[Bytes]]
    seed: int


# Set in each worker process when it starts: the material is large, and the same for all tasks.
_material: list[Material] = []


def render_all(icons: Sequence[Icon], processes: int) -> list[Drawing]:
    """Render icons.

    Args:
        icons: The icons.
        processes: How many processes share the work.

    Returns:
        Their drawings, in the same order.

    Raises:
        UsageError: A process ended before its work was done.
    """
    return list(_spread(render.render, icons, processes, None))


def objects(material: Material, part: str, count: int, processes: int) -> Objects:
    """Compose the images of one object of one part, all classes equally often.

    Args:
        material: What to compose them of.
        part: The part.
        count: How many.
        processes: How many processes share the work.

    Returns:
        The images; `icons` are indices into the drawings.

    Raises:
        UsageError: A process ended before its work was done.
    """
    number = PARTS.index(part)
    chosen = list(itertools.islice(_icons(material, part, (material.seed, _OBJECT_ICONS, number)), count))
    images = np.empty((count, OBJECT_SIDE, OBJECT_SIDE, 3), np.uint8)
    lengths = np.empty(count, np.float32)
    tasks = [(part, index, icon) for index, icon in enumerate(chosen)]
    for index, (image, length) in enumerate(_spread(_object, tasks, processes, material)):
        images[index], lengths[index] = image, length
    labels = np.array([material.labels[icon] for icon in chosen], np.uint8)
    return Objects(images, labels, lengths, np.array(chosen, np.int32))


def scenes_of(material: Material, part: str, count: int, processes: int) -> Scenes:
    """Compose the images of several objects of one part.

    Args:
        material: What to compose them of.
        part: The part.
        count: How many.
        processes: How many processes share the work.

    Returns:
        The images and their boxes.

    Raises:
        UsageError: A process ended before its work was done.
    """
    number = PARTS.index(part)
    sizes = np.random.default_rng((material.seed, _SCENE_SIZES, number)).integers(1, scenes.MOST_OBJECTS + 1, count)
    icons = _icons(material, part, (material.seed, _SCENE_ICONS, number))
    tasks = [(part, index, tuple(itertools.islice(icons, size))) for index, size in enumerate(sizes)]
    images = np.empty((count, SCENE_SIDE, SCENE_SIDE, 3), np.uint8)
    found: list[tuple[int, Found]] = []
    for index, (image, inside) in enumerate(_spread(_scene, tasks, processes, material)):
        images[index] = image
        found += [(index, each) for each in inside]
    return Scenes(
        images,
        np.array([each.box for _, each in found], np.float32),
        np.array([material.labels[each.drawing] for _, each in found], np.uint8),
        np.array([index for index, _ in found], np.int32),
        np.array([each.length for _, each in found], np.float32),
    )


def _icons(material: Material, part: str, seed: tuple[int, ...]) -> Iterator[int]:
    """Yield drawings of a part without end: the classes in turn and in random order, likewise the icons of each."""
    generator = np.random.default_rng(seed)
    of_class: dict[int, list[int]] = {label: [] for label in range(len(CLASSES))}
    for drawing, label in enumerate(material.labels):
        if material.parts[drawing] == part:
            of_class[label].append(drawing)
    left: dict[int, list[int]] = {label: [] for label in of_class}
    while True:
        for label in generator.permutation(len(CLASSES)).tolist():
            if not left[label]:
                left[label] = generator.permutation(of_class[label]).tolist()
            yield left[label].pop()


def _object(task: tuple[str, int, int]) -> tuple[Bytes, float]:
    part, index, icon = task
    material = _material[0]
    generator = np.random.default_rng((material.seed, _OBJECT_IMAGES, PARTS.index(part), index))
    return scenes.object_image(material.drawings[icon], material.photographs[part], generator)


def _scene(task: tuple[str, int, tuple[int, ...]]) -> tuple[Bytes, list[Found]]:
    part, index, chosen = task
    material = _material[0]
    generator = np.random.default_rng((material.seed, _SCENE_IMAGES, PARTS.index(part), index))
    return scenes.scene_image(material.drawings, chosen, material.photographs[part], generator)


def _spread(
    work: Callable[[Task], Result], tasks: Sequence[Task], processes: int, material: Material | None
) -> Iterator[Result]:
    """Do the tasks in several processes, or in this one if one is enough; yield the results in order."""
    if processes == 1:
        _take(material)
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context()
    try:
        with ProcessPoolExecutor(processes, context, _begin, (material,)) as pool:
            yield from pool.map(work, tasks, chunksize=_CHUNK)
    except BrokenProcessPool as error:
        hint = "it may have run out of memory: --processes 1 needs least"
        raise UsageError("a process that composes images was ended from outside", hint=hint) from error


def _take(material: Material | None) -> None:
    _material[:] = [] if material is None else [material]


def _begin(material: Material | None) -> None:
    leave_ending_to_the_parent()
    _take(material)
