"""Centroids by k-means over the histogram of a tensor: a table of the least squared error for its number of centroids.

At the same number of clusters it roughly halves the loss of equidistant centroids, and reuses less, because its cells are
narrow where values are frequent and so are most of their changes. Closed loop over the whole streams, profiled on them
too, as relative RMSE of the outputs / reuse of the model, against :func:`reuse_compiler.fitting.fit` with ``minmax``; the
recurrent layers of Silero stay linear:

==============  =========  =========  =========  =========  =========
clusters        16         32         64         128        256
==============  =========  =========  =========  =========  =========
PilotNet        .36/.89    .22/.84    .12/.78    .05/.70    .03/.63
  k-means       .23/.81    .11/.73    .05/.66    .02/.59    .01/.53
keywords 10 ms  .74/.80    .41/.72    .19/.63    .10/.54    .05/.48
  k-means       .33/.68    .17/.60    .09/.52    .04/.47    .02/.44
Silero          1.24/.74   1.96/.66   1.07/.56   .68/.48    .32/.40
  k-means       .51/.53    .41/.42    .25/.32    .17/.29    .22/.27
==============  =========  =========  =========  =========  =========

So k-means is for tables that must be small: 32 of its centroids lose what 64 equidistant ones do. At the same loss the
equidistant ones reuse as much or more (PilotNet at .11: .77 against .73, keywords at .10: .54 against .53, at .17: .62
against .60, Silero at .32: .40 against .36); only Silero at .5 is the other way round (.44 against .53).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.tensor_profile import BINS, TensorProfile

__all__ = ["kmeans_centroids"]

_ROUNDS = 200

Doubles = NDArray[np.float64]


def kmeans_centroids(tensor: TensorProfile, clusters: int, seed: int = 0) -> tuple[float, ...]:
    """At most `clusters` centroids in ascending order, exactly float32, 0.0 among them.

    The values are the middles of the histogram's bins, weighted by their counts, and the exact zeros. scikit-learn's KMeans
    finds the centroids; the one nearest to 0.0 moves there, and Lloyd's iteration goes on with it held until no value
    changes its centroid. The same seed gives the same centroids. Fewer are given where fewer values were seen, or two
    coincide in float32.
    """
    values, counts = _values(tensor)
    if values.size > clusters:
        centroids = _settled(values, counts, _free_centroids(values, counts, clusters, seed))
    else:
        centroids = values
    rounded = np.unique(np.append(centroids.astype(np.float32), np.float32(0)))
    return tuple(rounded.tolist())


def _values(tensor: TensorProfile) -> tuple[Doubles, Doubles]:
    """Values in ascending order and their counts: 0.0, and the middle of each bin in use within the range that was seen."""
    histogram = tensor.histogram
    counts = histogram.counts.astype(np.float64)
    zeros = tensor.zero_share * histogram.total
    of_zero = BINS // 2 - histogram.first
    if 0 <= of_zero < counts.size:
        counts[of_zero] = max(counts[of_zero] - zeros, 0.0)
    values = np.append(np.clip(histogram.centres(), tensor.minimum, tensor.maximum), 0.0)
    distinct, place = np.unique(values, return_inverse=True)
    sums = np.bincount(place, np.append(counts, zeros), distinct.size)
    used = (sums > 0) | (distinct == 0)
    return distinct[used], sums[used]


def _free_centroids(values: Doubles, counts: Doubles, clusters: int, seed: int) -> Doubles:
    """What KMeans finds, in ascending order; `values` are more than `clusters`."""
    from sklearn.cluster import KMeans

    scale = float(np.abs(values).max())  # KMeans squares: keep that within float64
    used = counts > 0
    found = KMeans(min(clusters, int(used.sum())), n_init=4, random_state=seed)
    found.fit(values[used, None] / scale, sample_weight=counts[used])
    return np.sort(found.cluster_centers_[:, 0]) * scale


def _settled(values: Doubles, counts: Doubles, centroids: Doubles) -> Doubles:
    """Lloyd's iteration with the centroid nearest to 0.0 held there; a centroid that no value is nearest to stays."""
    zero = int(np.abs(centroids).argmin())
    centroids = centroids.copy()
    centroids[zero] = 0.0
    before = np.zeros(0, np.intp)
    for _ in range(_ROUNDS):
        index = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
        if np.array_equal(index, before):
            break
        mass = np.bincount(index, counts, centroids.size)
        sums = np.bincount(index, counts * values, centroids.size)
        np.divide(sums, mass, out=centroids, where=mass > 0)
        centroids[zero], before = 0.0, index
    return centroids
