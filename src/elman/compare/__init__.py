"""Comparisons: what else predicts the same data, and how well."""
