"""Readers, one file per format, from a ``DataConfig`` to a ``Source``."""

from toolkit.data.formats.csv_file import read_csv
from toolkit.data.formats.cub200 import read_cub200
from toolkit.data.formats.digits import read_digits, read_digits_as_numbers
from toolkit.data.formats.folder import read_folder
from toolkit.data.formats.list_file import read_list, read_vector_list
from toolkit.data.formats.paddle_sets import read_paddle_set

__all__ = [
    "read_csv",
    "read_cub200",
    "read_digits",
    "read_digits_as_numbers",
    "read_folder",
    "read_list",
    "read_paddle_set",
    "read_vector_list",
]
