"""What the archive knows and decides: values and pure functions, no I/O, no clock, standard library only."""
