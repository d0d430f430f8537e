"""Pictures of cohorts: what they draw is what the numbers say."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import covey
from covey.cohort_model import weighted_points
from covey.generate import GenerationPlan, write_parquet
from covey.notebook.separation import principal_plane, separation


@pytest.fixture(scope="module")
def traits(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    write_parquet(GenerationPlan(learner_count=600, weeks=6, seed=4), path, with_kinds=False)
    return covey.read_parquet(path).traits()


@pytest.mark.parametrize("kind", ["overview", "profiles", "sizes", "separation"])
@pytest.mark.parametrize("k", [1, 7])
def test_every_kind_is_a_picture(traits, kind, k):
    figure = traits.discover(k=k).plot(kind)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert all(axis.get_title(loc="left") for axis in figure.axes if axis.axison)


def test_an_unknown_kind_names_the_known(traits):
    with pytest.raises(covey.InputError, match="'size'; expected overview, profiles, sizes, separation"):
        traits.discover(k=2).plot("size")


def test_a_plot_leaves_no_trace(traits):
    """Neither pyplot nor its global list of figures is touched, nor the user's settings."""
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    traits.discover(k=3).plot()
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_bars_are_sizes_and_dots_are_means(traits):
    cohorts = traits.discover(k=4)
    (bars,) = cohorts.plot("sizes").axes
    assert [bar.get_width() for bar in bars.patches] == list(cohorts.sizes)
    for index, axis in enumerate(cohorts.plot("profiles").axes[:4]):
        own, everyone = (line.get_xdata() for line in axis.lines)
        assert own == pytest.approx(cohorts.mean_traits[index])
        assert everyone == pytest.approx(traits.matrix.mean(axis=1), abs=1e-6)
        members = traits.matrix[:, cohorts.labels == index]
        (bar,) = axis.collections
        ends = np.array([segment[:, 0] for segment in bar.get_segments()])
        assert (np.mean((members >= ends[:, :1] - 1e-6) & (members <= ends[:, 1:] + 1e-6), axis=1) >= 0.79).all()


def test_silhouettes_of_everyone_have_the_mean_that_the_cohorts_know(traits):
    cohorts = traits.discover(k=5)
    found = separation(cohorts)
    assert len(found.labels) == len(traits)
    assert found.silhouettes.mean() == pytest.approx(cohorts.quality.silhouette, abs=1e-5)


def test_a_sample_is_drawn_by_hash_whatever_the_order(traits):
    cohorts = traits.discover(k=3)
    few, more = separation(cohorts, 100), separation(cohorts, 200)
    assert len(few.positions) == 100
    assert set(few.positions) < set(more.positions)
    assert few.labels.tolist() == cohorts.labels[few.positions].tolist()


def test_one_cohort_has_no_silhouettes(traits):
    found = separation(traits.discover(k=1))
    assert found.silhouettes is None
    assert found.plane.shape == (len(traits), 2)


def test_the_plane_is_that_of_the_singular_vectors(traits):
    """By a second route: the right singular vectors of the centred points."""
    cohorts = traits.discover(k=3)
    points = weighted_points(traits.matrix, cohorts.model.trait_weights).astype(np.float64)
    _, axes, explained = principal_plane(points.astype(np.float32))
    _, singular, directions = np.linalg.svd((points - points.mean(axis=1, keepdims=True)).T, full_matrices=False)
    assert np.abs(np.sum(axes * directions[:2].T, axis=0)) == pytest.approx([1, 1], abs=1e-6)
    assert explained == pytest.approx(tuple(singular[:2] ** 2 / (singular**2).sum()), abs=1e-6)
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()
    assert separation(cohorts).plane.var(axis=0).sum() == pytest.approx(
        sum(explained) * points.var(axis=1).sum(), rel=1e-6
    )


def test_learners_who_do_not_differ_have_no_direction():
    _, _, explained = principal_plane(np.full((5, 10), 0.3, dtype=np.float32))
    assert explained == (0.0, 0.0)
