"""Models of the shapes that people have: a folder of declarations each, and the data of a source whose law is known."""
