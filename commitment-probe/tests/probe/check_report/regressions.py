"""Regressions by scikit-learn, and the features that they go by."""

import numpy as np
from sklearn.linear_model import LogisticRegression


class Scaled:
    """Features as they are scaled in what is learnt from."""

    def __init__(self, of, train):
        def scaled(table):
            rows = table[train]
            varies = rows.min(axis=0) < rows.max(axis=0)
            deviation = np.where(varies, rows.std(axis=0), np.inf)
            table = (table - rows.mean(axis=0)) / deviation / np.sqrt(table.shape[1])
            if table.shape[1] <= len(train):
                return table
            # No weight leaves the span of what is learnt from: a turned basis of it is as good.
            return table @ np.linalg.qr(table[train].T)[0]

        self.states = [scaled(table) for table in of.states]
        self.scalars = scaled(of.scalars)
        self.prompt = np.hstack([scaled(of.embedding), scaled(of.length)])

    def both(self, own):
        """Features for a penalty: scalars count so that their own penalty is `own`."""
        return [
            lambda penalty, of=of: np.hstack([of, self.scalars * np.sqrt(penalty / own)])
            for of in self.states
        ]


def scored(features, labels, penalty, train, test):
    """The scores of `test` by a regression that has learnt from `train`."""
    features = features(penalty) if callable(features) else features
    model = LogisticRegression(C=1 / penalty, tol=1e-10, solver="newton-cholesky", max_iter=1000)
    return model.fit(features[train], labels[train]).decision_function(features[test])
