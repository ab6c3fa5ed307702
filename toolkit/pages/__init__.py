"""Shared code of the HTML pages, which are self-contained single files in one style."""

from toolkit.pages.page import new_environment, write_page

__all__ = ["new_environment", "write_page"]
