"""Operators: each resolves what the run is about, calls one function of the core, and returns a small dict."""
