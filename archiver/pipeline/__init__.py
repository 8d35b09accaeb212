"""What happens to recordings, step by step; talks to providers, stores and the catalog through ports only."""
