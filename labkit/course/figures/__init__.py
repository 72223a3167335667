"""Figures: one style, what several notebooks share, and a module for each notebook."""
