"""The paper's own numbers: its printed tables, and what in them does not add up."""
