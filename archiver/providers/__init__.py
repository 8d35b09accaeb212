"""Providers: the APIs that recordings come from, each as an adapter of the port `domain.ports.Provider`."""
