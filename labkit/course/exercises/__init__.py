"""Exercises: their checks, the rules of a check, and how cells of a notebook are read."""
