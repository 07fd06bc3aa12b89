"""Operators. Each resolves what its run is about, calls one function of the core, and returns a small dict."""
