"""Pages: the executed course as a site, its translation, and executing it."""
