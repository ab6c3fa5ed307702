"""Pages: what all HTML pages share, so that each is one file that needs nothing else and all look alike."""

from toolkit.pages.page import new_environment, write_page

__all__ = ["new_environment", "write_page"]
