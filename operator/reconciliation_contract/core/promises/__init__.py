"""The promises: one predicate over the evidence each, a verdict out."""
