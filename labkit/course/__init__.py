"""What the notebooks show and ask: figures, exercises, marking, pages, things to touch."""
