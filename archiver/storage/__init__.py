"""Where the archive lies: one module a scheme, all of them implementing `domain.ports.Storage`."""
