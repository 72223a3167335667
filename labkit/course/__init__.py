"""What the notebooks show: checks, figures, widgets."""
