"""The SQL catalog: every recording any source ever listed, what became of it, and the history of both."""
