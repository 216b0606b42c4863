"""From graph to graph: primitive operations, canonical sums, fused ones, and the derivative."""
