"""How good a result is against ground truth, and how two results differ."""
