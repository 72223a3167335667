"""Marking: skeletons, proofs, submissions and the gradebook, behind a sandbox."""
