"""The part of http-parser that pymesos uses, in pure Python.

The published package does not build for Python 3.11 and newer.
"""
