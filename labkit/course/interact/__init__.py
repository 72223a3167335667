"""Things to touch: widgets over pure functions, and the traces that they show."""
