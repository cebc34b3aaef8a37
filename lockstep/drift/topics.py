"""Topics of texts: clusters of the words of training records, for projects without labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Words = Sequence[frozenset[str]]

TOPICS = 20
"""Maximum number of topics."""
TEXTS_PER_TOPIC = 20
"""Minimum number of training records per topic, on average."""
MIN_TEXTS = 3
"""Number of training records that a word needs; rarer ones tell no topic."""
MAX_SHARE = 0.1
"""Share of the training records beyond which a word is too common to tell a topic."""
NO_TOPIC = "(no known word)"
_DIMENSIONS = 50


def assign_topics(
    reference: Words, requests: Words, seed: int
) -> tuple[NDArray[np.str_], NDArray[np.str_]] | None:
    """Return the topics of one half of the training records, and of the requests.

    Topics are learnt from the other half, by k-means on latent semantic analysis (Deerwester et
    al., 1990), so that both sides are new to them. A topic is named by the words at its center.
    Return None if the training records have too few words that repeat. Texts are in random order.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    half = len(reference) // 2
    learnt, compared = reference[:half], reference[half:]
    topics = min(TOPICS, half // TEXTS_PER_TOPIC)
    vectorizer = TfidfVectorizer(analyzer=list, min_df=MIN_TEXTS, max_df=MAX_SHARE)
    try:
        weights = vectorizer.fit_transform(learnt)
    except ValueError:  # no word is left
        return None
    words = vectorizer.get_feature_names_out()
    if topics < 2 or len(words) <= _DIMENSIONS:
        return None
    projection = TruncatedSVD(_DIMENSIONS, random_state=seed)
    clusters = KMeans(topics, n_init=1, random_state=seed).fit(projection.fit_transform(weights))
    centers = projection.inverse_transform(clusters.cluster_centers_)
    names = [_name_topic(words, center) for center in centers]

    def assign(texts: Words) -> NDArray[np.str_]:
        rows = vectorizer.transform(texts)
        nearest = clusters.predict(projection.transform(rows))
        is_known = np.diff(rows.indptr) > 0
        return np.where(is_known, np.array(names, np.str_)[nearest], NO_TOPIC)

    return assign(compared), assign(requests)


def _name_topic(words: NDArray[np.str_], center: NDArray[np.float64]) -> str:
    return ", ".join(words[index] for index in np.argsort(-center, kind="stable")[:3].tolist())
