"""Real servers and real faults on loopback: what the tests of every package stand on."""
